import CLibFuzzer
import FuzzEntries
import Glibc

/// The entry that this run feeds; `ZTUN_FUZZ_ENTRY` names it.
private let chosen: FuzzEntry = {
    let name = getenv("ZTUN_FUZZ_ENTRY").map { String(cString: $0) } ?? ""
    guard let entry = FuzzEntry(rawValue: name) else {
        let names = FuzzEntry.allCases.map(\.rawValue).joined(separator: ", ")
        print("ztun-fuzz: ZTUN_FUZZ_ENTRY is '\(name)': set it to one of \(names)")
        exit(64)
    }
    return entry
}()

/// One input of libFuzzer, whose archive refers to this by name.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    chosen.run(UnsafeRawBufferPointer(start: data, count: size))
    return 0
}

/// The program: hands over to libFuzzer. SwiftPM renames a program's `main` to this.
@c(ZtunFuzz_main)
public func fuzzMain(_ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> Int32 {
    var count = count
    var arguments = arguments
    return LLVMFuzzerRunDriver(&count, &arguments, fuzzOneInput)
}
