import EventLoop
import Glibc

/// What stands in for an application: one end of a connected pair of sockets, read and written by the bench itself.
final class ApplicationSocket {
    private let socket: Descriptor

    /// Makes a pair; the other end, the one an application's connection has inside the daemon, goes to `take`.
    init(handing take: (consuming Descriptor) throws -> Void) throws {
        var pair: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutablePointer(to: &pair) { pointer in
            pointer.withMemoryRebound(to: Int32.self, capacity: 2) {
                socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, $0)
            }
        }
        guard made == 0 else { throw BenchFailure("socketpair: \(String(cString: strerror(errno)))") }
        socket = Descriptor(owning: pair.0)
        try take(Descriptor(owning: pair.1))
    }

    /// Bytes written; 0 when the socket is full.
    func write(_ bytes: UnsafeRawPointer, _ count: Int) -> Int { max(0, Kernel.write(socket.number, bytes, count)) }

    /// Bytes read; 0 when there are none now, nil at the end.
    func read(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> Int? {
        let count = Kernel.read(socket.number, buffer, capacity)
        return count == 0 ? nil : max(0, count)
    }

    func shutdownWrite() { Kernel.shutdownWrite(socket.number) }
}

/// What the bench cannot go on with.
struct BenchFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
