internal import ArgumentParser
internal import Glibc

/// `ztun node`: what has to enter the pods' namespaces is ztund's to do, so this runs `ztund node`.
struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Look after this node: `ztun node cleanup` runs `ztund node cleanup`.",
        discussion: "The same as `ztund node`, with the ztund beside this program, or the one on PATH.")

    @Argument(parsing: .captureForPassthrough, help: "cleanup, and its flags; see `ztund node cleanup --help`.")
    var words: [String] = []

    func run() throws {
        let arguments = ["ztund", "node"] + words
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        if let beside = Self.beside { execv(beside, pointers) }
        execvp("ztund", pointers)
        throw Failure(
            code: .problem,
            message: "cannot run ztund: \(String(cString: strerror(errno))); put it beside ztun or on PATH")
    }

    /// The ztund in this program's own folder.
    private static var beside: String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map {
                readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), bytes.count)
            } ?? 0
        }
        guard count > 0, let slash = buffer.prefix(count).lastIndex(of: 47) else { return nil }
        let path = String(decoding: buffer[...slash], as: UTF8.self) + "ztund"
        return access(path, X_OK) == 0 ? path : nil
    }
}
