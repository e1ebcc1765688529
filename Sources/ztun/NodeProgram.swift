internal import Glibc

/// The program ztund, for what enters pods' namespaces or reads manifests: this one does neither.
enum NodeProgram {
    /// Becomes ztund with these arguments; returns only where there is none.
    static func run(_ arguments: [String]) throws(Failure) {
        var pointers: [UnsafeMutablePointer<CChar>?] = (["ztund"] + arguments).map { strdup($0) }
        pointers.append(nil)
        if let beside { execv(beside, pointers) }
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
