internal import CLinux
internal import EventLoop

/// The program `nft`, run inside a pod's network namespace; ztund waits for it, so only the control thread does this.
struct NftProgram {
    /// A name looked up on PATH, or a path.
    let name: String

    /// It takes milliseconds; an nft that hangs is killed.
    private static let timeoutMilliseconds: Int32 = 5000
    private static let outputLimit = 65536

    /// Applies commands as one transaction.
    func apply(_ commands: String, in namespace: NetworkNamespace) throws(CaptureFailure) {
        _ = try run(["-f", "-"], input: commands, in: namespace)
    }

    /// Whether there is a table.
    func has(_ table: String, in namespace: NetworkNamespace) throws(CaptureFailure) -> Bool {
        let all = try run(["-s", "list", "tables"], input: "", in: namespace)
        return all.split(separator: "\n").contains("table \(table)")
    }

    /// What a table holds, in nft's own wording.
    func list(_ table: String, in namespace: NetworkNamespace) throws(CaptureFailure) -> String {
        let words = table.split(separator: " ").map(String.init)
        return try run(["-s", "list", "table"] + words, input: "", in: namespace)
    }

    private func run(
        _ arguments: [String], input: String, in namespace: NetworkNamespace
    ) throws(CaptureFailure) -> String {
        let outcome: (status: Int32, output: String)
        do throws(SystemError) {
            outcome = try namespace.run { () throws(SystemError) in Self.spawn([name] + arguments, input: input) }
        } catch {
            throw CaptureFailure("enter its network namespace", error)
        }
        switch outcome.status {
        case 0:
            return outcome.output
        case -Self.timedOut:
            throw CaptureFailure("\(name) did not finish within \(Self.timeoutMilliseconds / 1000) s and was stopped")
        case ..<0:
            let error = SystemError("exec", -outcome.status)
            throw CaptureFailure(
                "run \(name)", error,
                hint: error.name == "ENOENT" ? "install nftables, or put nft on ztund's PATH" : "")
        case 256...:
            throw CaptureFailure("\(name) was ended by signal \(outcome.status - 256)")
        default:
            throw CaptureFailure(
                "\(name) refused the rules (exit status \(outcome.status)): \(Self.firstLine(of: outcome.output)); "
                    + "nothing was changed")
        }
    }

    private static let timedOut: Int32 = 110

    private static func firstLine(of output: String) -> String {
        let line = output.split(separator: "\n").first ?? "no message"
        return escaped(line)
    }

    private static func spawn(_ arguments: [String], input: String) -> (status: Int32, output: String) {
        var output = [UInt8](repeating: 0, count: outputLimit)
        var count: Int32 = 0
        // One block of all arguments, each ended by a zero, and pointers into it.
        let bytes = arguments.flatMap { Array($0.utf8) + [0] }.map { CChar(bitPattern: $0) }
        var starts: [Int] = []
        var offset = 0
        for argument in arguments {
            starts.append(offset)
            offset += argument.utf8.count + 1
        }
        let text = Array(input.utf8).map { CChar(bitPattern: $0) }
        let status = bytes.withUnsafeBufferPointer { block in
            let pointers: [UnsafePointer<CChar>?] = starts.map { block.baseAddress?.advanced(by: $0) } + [nil]
            return output.withUnsafeMutableBytes { buffer in
                zt_run_program(
                    pointers, text, Int32(text.count), buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
                    Int32(outputLimit), &count, timeoutMilliseconds)
            }
        }
        return (status, String(decoding: output[..<Int(count)], as: UTF8.self))
    }
}
