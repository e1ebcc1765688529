import Glibc
import MeshModel

/// A plain blocking client with a time limit of five seconds per read.
final class Client {
    private let socket: Int32

    init?(port: UInt16) {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { return nil }
        limit()
    }

    init?(path: String) {
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { return nil }
        limit()
    }

    deinit { close(socket) }

    private func limit() {
        var time = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Sends bytes; false when the peer has closed.
    @discardableResult
    func send(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    /// Reads to the end of the connection; nil when nothing comes for five seconds.
    func readAll() -> String? {
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(socket, &buffer, buffer.count)
            if count == 0 || (count < 0 && errno == ECONNRESET) { return String(decoding: result, as: UTF8.self) }
            if count < 0 { return nil }
            result += buffer.prefix(count)
        }
    }

    /// Reads until the text has come.
    func read(until end: String) -> String? {
        var result = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !result.contains(end) {
            let count = Glibc.read(socket, &buffer, buffer.count)
            if count <= 0 { return nil }
            result += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        return result
    }

    /// One request on a connection of its own; the whole answer.
    static func get(_ port: UInt16, _ path: String, method: String = "GET", fields: String = "") -> String? {
        guard let client = Client(port: port) else { return nil }
        client.send("\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(fields)\r\n")
        return client.readAll()
    }
}
