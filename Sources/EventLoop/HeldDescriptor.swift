internal import Glibc

/// A descriptor on its way to an owner that is not decided yet; closed when nobody takes it.
package final class HeldDescriptor {
    private var descriptor: Descriptor?

    package init(_ descriptor: consuming Descriptor) {
        self.descriptor = consume descriptor
    }

    /// The descriptor; nil when it was taken before.
    package func take() -> Descriptor? {
        descriptor.take()
    }
}

extension Kernel {
    /// Two connected stream sockets of this process, non-blocking: what is written to one is read from the other.
    package static func streamPair() throws(SystemError) -> (HeldDescriptor, HeldDescriptor) {
        var numbers: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &numbers) == 0 else { throw SystemError("socketpair", errno) }
        return (
            HeldDescriptor(Descriptor(owning: numbers[0])), HeldDescriptor(Descriptor(owning: numbers[1]))
        )
    }
}
