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
        // Not zeroed first: state files are large.
        var code: Int32?
        var isAtEnd = false
        var bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size) + 1) { buffer, filled in
            (filled, isAtEnd, code) = Self.fill(UnsafeMutableRawBufferPointer(buffer), from: descriptor)
        }
        while !isAtEnd, code == nil {
            // It grew while it was read.
            guard bytes.count <= limit else { throw CertificateError("\(path) is longer than \(limit) bytes") }
            let more = min(bytes.count, limit + 1 - bytes.count)
            bytes += [UInt8](unsafeUninitializedCapacity: more) { buffer, filled in
                (filled, isAtEnd, code) = Self.fill(UnsafeMutableRawBufferPointer(buffer), from: descriptor)
            }
        }
        if let code { throw Self.failure(path, "cannot be read", code) }
        self.bytes = bytes
    }

    /// Reads until the buffer is full, or to the end, or to an `errno`.
    private static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32
    ) -> (filled: Int, isAtEnd: Bool, code: Int32?) {
        var filled = 0
        while filled < buffer.count {
            let count = read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return (filled, false, errno) }
            if count == 0 { return (filled, true, nil) }
            filled += count
        }
        return (filled, false, nil)
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
