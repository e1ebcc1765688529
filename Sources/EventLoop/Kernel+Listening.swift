internal import Glibc

extension Kernel {
    /// Ends a listener whose descriptor others still hold. Connections that wait at it go to the other listeners of its
    /// port where `tcp_migrate_req` is set; without such, they are reset.
    package static func stopListening(_ fd: Int32) {
        _ = shutdown(fd, Int32(SHUT_RD))
    }
}
