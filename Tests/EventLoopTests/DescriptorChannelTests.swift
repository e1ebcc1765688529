import EventLoop
import Glibc
import Testing

@Suite struct DescriptorChannelTests {
    private func pair() throws -> (DescriptorChannel, DescriptorChannel) {
        let path = "/tmp/zt-channel-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let listener = try DescriptorListener(path)
        defer { Kernel.unlinkPath(path) }
        let one = try DescriptorChannel.connect(path, limit: 2000)
        let other = try #require(listener.accept(within: 2000, limit: 2000))
        return (one, other)
    }

    /// The number of a held descriptor, for the caller to close.
    private func number(_ held: HeldDescriptor?) throws -> Int32 {
        guard let descriptor = held?.take() else { throw SystemError("take", 9) }
        return descriptor.release()
    }

    @Test func messagesStayApartAndDescriptorsComeAlong() throws {
        let (one, other) = try pair()
        let (near, far) = try Kernel.streamPair()
        let nearEnd = try number(near)
        let farEnd = try number(far)
        try one.send([1, 2, 3], descriptors: [farEnd])
        try one.send(Array(repeating: 7, count: 150_000))
        let first = try #require(try other.receive())
        #expect(first.bytes == [1, 2, 3])
        let received = try number(first.descriptors.first)
        var byte: UInt8 = 42
        #expect(Kernel.write(received, &byte, 1) == 1)
        var answer: UInt8 = 0
        #expect(Kernel.read(nearEnd, &answer, 1) == 1 && answer == 42)
        let second = try #require(try other.receive())
        #expect(second.bytes.count == 150_000 && second.descriptors.isEmpty)
        for end in [nearEnd, farEnd, received] { close(end) }
    }

    @Test func thePeerIsKnownAndItsEndIsSeen() throws {
        let (one, other) = try pair()
        #expect(other.peer?.pid == getpid())
        #expect(other.peer?.uid == geteuid())
        #expect(!other.waitReadable(milliseconds: 0))
        _ = consume one
        #expect(other.waitReadable(milliseconds: 2000))
        #expect(try other.receive() == nil)
    }

    @Test func aMessageThatIsTooLongIsAnErrorAndLeavesNoDescriptorOpen() throws {
        let (one, other) = try pair()
        let (near, far) = try Kernel.streamPair()
        let nearEnd = try number(near)
        let farEnd = try number(far)
        try one.send(Array(repeating: 0, count: DescriptorChannel.messageLimit + 1), descriptors: [farEnd])
        close(farEnd)
        #expect(throws: SystemError.self) { _ = try other.receive() }
        var byte: UInt8 = 0
        #expect(Kernel.read(nearEnd, &byte, 1) == 0, "the last copy of the other end was closed")
        close(nearEnd)
    }

    @Test func aBundleClosesWhatNobodyTook() throws {
        let (near, far) = try Kernel.streamPair()
        let nearEnd = try number(near)
        var byte: UInt8 = 0
        do {
            let bundle = DescriptorBundle([far])
            #expect(bundle.open.count == 1)
            withExtendedLifetime(bundle) {
                #expect(Kernel.wouldBlock(Kernel.read(nearEnd, &byte, 1)))
            }
        }
        #expect(Kernel.read(nearEnd, &byte, 1) == 0)
        close(nearEnd)
    }
}
