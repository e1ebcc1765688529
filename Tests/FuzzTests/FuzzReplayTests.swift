import FuzzEntries
import Glibc
import Testing

/// Every file of Fuzz/Corpus and Fuzz/FailCases goes through the entry its folder is named after.
@Suite struct FuzzReplayTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let entry: FuzzEntry
        let path: String
        var testDescription: String { path.split(separator: "/").suffix(3).joined(separator: "/") }
    }

    static let cases: [Case] = {
        let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
        return FuzzEntry.allCases.flatMap { entry in
            ["Corpus", "FailCases"].flatMap { kind in
                let folder = "\(root)/Fuzz/\(kind)/\(entry.rawValue)"
                return names(in: folder).map { Case(entry: entry, path: "\(folder)/\($0)") }
            }
        }
    }()

    private static func names(in folder: String) -> [String] {
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    @Test(arguments: FuzzEntry.allCases) func everyEntryHasACorpus(entry: FuzzEntry) {
        #expect(Self.cases.count { $0.entry == entry } >= 3, "Fuzz/Corpus/\(entry.rawValue)")
    }

    @Test(arguments: cases) func fileKeepsThePromises(file: Case) throws {
        let handle = try #require(fopen(file.path, "r"))
        defer { fclose(handle) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&chunk, 1, chunk.count, handle)
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        bytes.withUnsafeBytes { file.entry.run($0) }
    }
}
