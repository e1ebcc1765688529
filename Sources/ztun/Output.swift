internal import Glibc

/// Standard output that is not held back: for what comes line by line.
enum Output {
    /// Writes a line; a reader that has gone ends the program, as it does any in a pipe.
    static func line(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.map { write(1, $0 + written, buffer.count - written) } ?? 0
            }
            guard count > 0 || errno == EINTR else { exit(ExitReason.problem.rawValue) }
            written += max(0, count)
        }
    }
}
