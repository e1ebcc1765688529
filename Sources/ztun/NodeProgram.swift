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

    /// Runs ztund with these arguments and waits for it; what it says goes to standard error.
    ///
    /// - Returns: nil when it succeeded, else why not.
    static func call(_ arguments: [String]) -> String? {
        var pointers: [UnsafeMutablePointer<CChar>?] = (["ztund"] + arguments).map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Standard output is for our own answer.
        posix_spawn_file_actions_adddup2(&actions, 2, 1)
        var child: pid_t = 0
        let error = posix_spawnp(&child, beside ?? "ztund", &actions, nil, pointers, environ)
        guard error == 0 else {
            return "cannot run ztund: \(String(cString: strerror(error))); put it beside this program or on PATH"
        }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return "cannot wait for ztund: \(String(cString: strerror(errno)))" }
        }
        return status == 0
            ? nil : "ztund \(arguments.joined(separator: " ")) failed; its words are in the runtime's log"
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
