internal import CLinux

/// One end of a Unix connection that keeps messages apart and carries open descriptors with them (`SOCK_SEQPACKET` and
/// `SCM_RIGHTS`, unix(7)). Its calls block, for at most the limit that it was made with; one thread reads, one writes.
package final class DescriptorChannel: Sendable {
    /// Most bytes of one message.
    package static let messageLimit = 192 * 1024
    /// Most descriptors with one message.
    package static let descriptorLimit = 64

    private let descriptor: Descriptor

    /// Takes a connected socket over.
    ///
    /// - Parameter limit: milliseconds that a call may block.
    package init(_ descriptor: consuming Descriptor, limit: Int32) {
        _ = zt_packet_set_limit(descriptor.number, limit)
        self.descriptor = descriptor
    }

    /// Connects to the listener at a path.
    package static func connect(_ path: String, limit: Int32) throws(SystemError) -> DescriptorChannel {
        DescriptorChannel(
            Descriptor(owning: try SystemError.check("connect", zt_packet_connect(path))), limit: limit)
    }

    /// The number of the socket, for a poll; valid while this object lives.
    package var number: Int32 { descriptor.number }

    /// User and process at the other end, as the kernel knows them; nil when it does not say.
    package var peer: (uid: UInt32, pid: Int32)? {
        var uid: UInt32 = 0
        var pid: Int32 = 0
        guard zt_unix_peer_uid(descriptor.number, &uid) == 0, zt_unix_peer_pid(descriptor.number, &pid) == 0 else {
            return nil
        }
        return (uid, pid)
    }

    /// Sends one message; the descriptors stay open here, the other end gets copies.
    package func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws(SystemError) {
        let result = bytes.withUnsafeBytes { buffer in
            zt_packet_send(descriptor.number, buffer.baseAddress, buffer.count, descriptors, Int32(descriptors.count))
        }
        _ = try SystemError.check("sendmsg", result)
    }

    /// The next message with its descriptors; nil when the other end is gone.
    ///
    /// - Throws: `EAGAIN` when the limit has passed, `EMSGSIZE` for a message that is none of ours.
    package func receive() throws(SystemError) -> (bytes: [UInt8], descriptors: [HeldDescriptor])? {
        var numbers = [Int32](repeating: -1, count: Self.descriptorLimit)
        var held: Int32 = 0
        var result = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.messageLimit) { buffer, count in
            result = zt_packet_receive(
                descriptor.number, buffer.baseAddress, buffer.count, &numbers, Int32(numbers.count), &held)
            count = max(0, result)
        }
        if result < 0 { throw SystemError("recvmsg", Int32(-result)) }
        if result == 0 { return nil }
        return (bytes, numbers.prefix(Int(held)).map { HeldDescriptor(Descriptor(owning: $0)) })
    }

    /// Whether there is something to receive (the end too) before the milliseconds have passed.
    package func waitReadable(milliseconds: Int32) -> Bool {
        zt_wait_readable(descriptor.number, milliseconds) != 0
    }
}

/// Where ``DescriptorChannel``s are accepted: a Unix listener at a path that only its owner may open.
package final class DescriptorListener: Sendable {
    private let descriptor: Descriptor

    /// Listens at the path, in the place of whatever socket is there.
    package init(_ path: String) throws(SystemError) {
        Kernel.unlinkPath(path)
        descriptor = Descriptor(owning: try SystemError.check("bind", zt_packet_listen(path, 0o600)))
    }

    /// Waits for a connection; nil when none came in the time, or before one of the channels had something to say.
    package func accept(within milliseconds: Int32, limit: Int32, orUntil channels: [DescriptorChannel] = [])
        -> DescriptorChannel?
    {
        let numbers = [descriptor.number] + channels.map(\.number)
        guard zt_wait_any(numbers, Int32(numbers.count), milliseconds) == 1 else { return nil }
        let number = zt_packet_accept(descriptor.number)
        return number < 0 ? nil : DescriptorChannel(Descriptor(owning: number), limit: limit)
    }
}
