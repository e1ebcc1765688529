import EventLoop
import MeshModel
import Telemetry
import Testing

@Suite struct EventLoopTests {
    private final class Recorder: EventHandler {
        var expirations: [UInt8] = []
        var flushes = 0
        override func expired(_ kind: UInt8) { expirations.append(kind) }
        override func flush() { flushes += 1 }
    }

    @Test func deadlinesExpireInOrderAndCancelledOnesNever() throws {
        let loop = try EventLoop()
        let owner = Recorder()
        let queue = loop.deadlines(seconds: 0.01)
        let first = Deadline(owner: owner, kind: 1)
        let second = Deadline(owner: owner, kind: 2)
        let third = Deadline(owner: owner, kind: 3)
        for deadline in [first, second, third] { deadline.arm(queue, now: loop.now) }
        second.cancel()
        while owner.expirations.count < 2 { loop.turn(wait: true) }
        #expect(owner.expirations == [1, 3])
        #expect(!first.isArmed && !second.isArmed && !third.isArmed)
    }

    @Test func markingTwiceFlushesOnce() throws {
        let loop = try EventLoop()
        let owner = Recorder()
        loop.mark(owner)
        loop.mark(owner)
        loop.turn(wait: false)
        #expect(owner.flushes == 1)
        loop.mark(owner)
        loop.turn(wait: false)
        #expect(owner.flushes == 2)
    }

    @Test func mailboxDeliversInOrderFromAnotherThread() throws {
        let loop = try EventLoop()
        let mailbox = try Mailbox<Int>()
        var received: [Int] = []
        let receiver = try MailboxReceiver(mailbox, on: loop) { received.append($0) }
        let thread = try LoopThread(name: "poster") { for i in 0..<1000 { mailbox.post(i) } }
        while received.count < 1000 { loop.turn(wait: true) }
        thread.join()
        receiver.close(on: loop)
        #expect(received == Array(0..<1000))
    }

    /// A handler removed in a batch gets no later event of that batch, and its memory outlives the batch.
    @Test func removedHandlerMeetsNoLateEvent() throws {
        final class Closer: EventHandler {
            let loop: EventLoop
            var victim: (handler: Closer, descriptor: Int32)?
            var calls = 0
            init(_ loop: EventLoop) { self.loop = loop }
            override func ready(_ readiness: Readiness) {
                calls += 1
                if let victim { loop.remove(victim.handler, descriptor: victim.descriptor) }
                victim = nil
            }
        }
        let loop = try EventLoop()
        let listener = Descriptor(owning: Kernel.tcpSocket(ipv6: false))
        #expect(Kernel.bind(listener.number, SocketAddress(.loopbackV4, 0), ipv6Socket: false) == 0)
        #expect(Kernel.listen(listener.number, backlog: 4) == 0)
        let address = try #require(Kernel.localAddress(listener.number))
        let a = Descriptor(owning: Kernel.tcpSocket(ipv6: false))
        let b = Descriptor(owning: Kernel.tcpSocket(ipv6: false))
        for fd in [a.number, b.number] {
            let result = Kernel.connect(fd, address, ipv6Socket: false)
            #expect(result == 0 || SystemError("connect", -result).name == "EINPROGRESS")
        }
        let one = Closer(loop)
        let two = Closer(loop)
        one.victim = (two, b.number)
        two.victim = (one, a.number)
        try loop.add(one, descriptor: a.number)
        try loop.add(two, descriptor: b.number)
        while one.calls + two.calls == 0 { loop.turn(wait: true) }
        loop.turn(wait: false)
        #expect(one.calls + two.calls == 1)
        // The loop holds what is registered, and each of the two the other.
        for (handler, descriptor) in [(one, a.number), (two, b.number)] {
            handler.victim = nil
            loop.remove(handler, descriptor: descriptor)
        }
        // What was removed is let go at the end of a turn.
        loop.turn(wait: false)
    }

    /// Many streams of one tunnel that are ready together leave in portions, so that the peer works while the rest is read.
    @Test func whatIsReadyTogetherIsFlushedInPortions() throws {
        final class Stream: EventHandler {
            let loop: EventLoop
            let tunnel: Recorder
            var calls = 0
            init(_ loop: EventLoop, _ tunnel: Recorder) {
                self.loop = loop
                self.tunnel = tunnel
            }
            override func ready(_ readiness: Readiness) {
                calls += 1
                loop.mark(tunnel)
            }
        }
        let count = 2 * EventLoop.portion + 4
        let loop = try EventLoop()
        let tunnel = Recorder()
        let listener = Descriptor(owning: Kernel.tcpSocket(ipv6: false))
        #expect(Kernel.bind(listener.number, SocketAddress(.loopbackV4, 0), ipv6Socket: false) == 0)
        #expect(Kernel.listen(listener.number, backlog: 64) == 0)
        let address = try #require(Kernel.localAddress(listener.number))
        let sockets = Sockets(count)
        for fd in sockets.numbers {
            let result = Kernel.connect(fd, address, ipv6Socket: false)
            #expect(result == 0 || SystemError("connect", -result).name == "EINPROGRESS")
        }
        let streams = sockets.numbers.map { _ in Stream(loop, tunnel) }
        for (stream, fd) in zip(streams, sockets.numbers) { try loop.add(stream, descriptor: fd) }
        // Over loopback they are connected, so writable, when connect returns: one turn takes them all.
        loop.turn(wait: true)
        #expect(streams.allSatisfy { $0.calls == 1 })
        #expect(tunnel.flushes == 3)
        for (stream, fd) in zip(streams, sockets.numbers) { loop.remove(stream, descriptor: fd) }
        loop.turn(wait: false)
    }

    private final class Sockets {
        let numbers: [Int32]
        init(_ count: Int) { numbers = (0..<count).map { _ in Kernel.tcpSocket(ipv6: false) } }
        deinit { for number in numbers { _ = Descriptor(owning: number) } }
    }

    @Test func socketAddressesSurviveTheKernel() throws {
        for text in ["127.0.0.1:0", "[::1]:0"] {
            let address = try #require(SocketAddress(text))
            let socket = Descriptor(owning: Kernel.tcpSocket(ipv6: !address.ip.isIPv4))
            #expect(Kernel.bind(socket.number, address, ipv6Socket: !address.ip.isIPv4) == 0)
            #expect(Kernel.localAddress(socket.number)?.ip == address.ip)
        }
    }
}
