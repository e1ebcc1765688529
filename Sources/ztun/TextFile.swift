internal import Glibc

/// A file that a command sends or looks at.
enum TextFile {
    /// Most bytes that are read.
    static let longest = 1 << 20

    static func read(_ path: String) throws(Failure) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw Failure(code: .usage, message: "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw Failure(code: .usage, message: "\(path) cannot be read: \(String(cString: strerror(errno)))")
            }
            if count == 0 { break }
            bytes += buffer.prefix(count)
            guard bytes.count <= longest else {
                throw Failure(code: .usage, message: "\(path) has more than \(longest) bytes")
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
