package import Glibc

/// The bytes of one regular file of bounded size, with what identifies the version that was read.
package struct FileContents: Sendable {
    package let bytes: [UInt8]
    package let version: FileVersion
    /// The permission bits of the file.
    package let mode: mode_t

    /// Reads a file; never blocks on a FIFO, never reads more than the limit.
    /// - Throws: ``CertificateError`` naming path and cause.
    package init(path: String, limit: Int) throws(CertificateError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.failure(path, "cannot be opened", errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure(path, "cannot be read", errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw CertificateError("\(path) is not a regular file") }
        guard status.st_size <= limit else {
            throw CertificateError("\(path) has \(status.st_size) bytes; at most \(limit) are read")
        }
        version = FileVersion(status)
        mode = status.st_mode & 0o7777
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size) + 1)
        var filled = 0
        while true {
            let count = bytes.withUnsafeMutableBytes { buffer in
                read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure(path, "cannot be read", errno) }
            if count == 0 { break }
            filled += count
            if filled == bytes.count {
                // It grew while it was read.
                guard filled <= limit else { throw CertificateError("\(path) is longer than \(limit) bytes") }
                bytes += [UInt8](repeating: 0, count: min(bytes.count, limit + 1 - filled))
            }
        }
        bytes.removeLast(bytes.count - filled)
        self.bytes = bytes
    }

    private static func failure(_ path: String, _ what: String, _ code: Int32) -> CertificateError {
        CertificateError("\(path) \(what): \(String(cString: strerror(code)))")
    }
}

/// What tells one version of a file from the next without reading it.
package struct FileVersion: Hashable, Sendable {
    package let device: UInt64
    package let inode: UInt64
    package let size: Int64
    /// Nanoseconds of the Unix epoch.
    package let modified: Int64
    /// Nanoseconds of the Unix epoch; also moves when only the name or the mode changes.
    package let changed: Int64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
        changed = Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
    }

    /// The version of the file that the path leads to now, symbolic links followed; nil when there is none.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}
