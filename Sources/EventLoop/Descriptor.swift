internal import CLinux

/// An open file descriptor with one owner; closed when the owner lets go of it.
package struct Descriptor: ~Copyable, Sendable {
    /// The number the kernel knows it by; valid while this value lives.
    package let number: Int32

    /// Takes ownership of an open descriptor.
    package init(owning number: Int32) {
        self.number = number
    }

    deinit {
        _ = zt_close(number)
    }

    /// Gives the number to the caller, who must close it.
    package consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }
}
