internal import CLinux
internal import Glibc

extension Kernel {
    /// Removes the name of a file or socket; nothing happens when there is none.
    package static func unlinkPath(_ path: String) { unlink(path) }

    /// Closes what a descriptor stands for, but keeps the number taken, so that whoever still has the number meets
    /// nothing instead of somebody else's file.
    package static func blank(_ fd: Int32) { _ = zt_blank(fd) }
}
