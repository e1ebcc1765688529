internal import EventLoop
internal import HBONE
internal import HTTP1

/// Takes the events of one ``Channel``; called on the worker's thread.
protocol ChannelReceiver: AnyObject {
    /// The far end has taken the connection: bytes sent from now on, and those sent before, go out.
    func channelOpened(_ channel: Channel)
    /// Bytes arrived; the pointer ends with the call. Every byte is to be reported by ``Channel/consumed(_:)``, at once or
    /// when whatever the bytes went into has drained.
    func channelReceived(_ channel: Channel, _ bytes: UnsafeRawPointer, _ count: Int)
    /// What was sent has left down to ``Channel/lowWater``; only after ``Channel/wantsDrained`` was set.
    func channelDrained(_ channel: Channel)
    /// The far end sends no more.
    func channelEnded(_ channel: Channel)
    /// The channel is gone; the last call. `failure` is nil after an orderly end of both directions.
    func channelClosed(_ channel: Channel, _ failure: TunnelFailure?)
}

/// A stream of bytes to a client or an endpoint, inside a tunnel or plain: what the HTTP and TCP sessions see of the network.
///
/// A class to inherit from, so that a session pays one virtual call per event. It keeps its receiver alive until it is
/// closed, and the receiver keeps it: whoever ends first cuts the knot.
class Channel: EventHandler {
    /// Bytes waiting to be sent below which more may be made.
    static let lowWater = 65_536
    /// Bytes waiting that are on the memory account; less is not worth counting.
    private static let counted = 16_384

    var receiver: (any ChannelReceiver)?
    var output = Backlog()
    /// Asks for one ``ChannelReceiver/channelDrained(_:)``.
    var wantsDrained = false
    fileprivate(set) var isEnding = false
    /// What the memory that waits here is counted on; set before anything is sent.
    var share: FairShare?
    /// Bytes of it that are counted now.
    private(set) var held = 0

    /// Bytes that wait to be sent.
    final var pending: Int { output.count }
    final var isFull: Bool { output.count > Self.lowWater }

    /// Queues bytes; they go out after this batch of events, together with others of the connection.
    final func send(_ bytes: UnsafeRawPointer, _ count: Int) {
        output.append(bytes, count)
        outputChanged()
        account()
    }

    /// Queues what the writer holds and empties it.
    final func send(_ writer: HTTP1MessageWriter) {
        writer.withBytes { bytes in
            if let base = bytes.baseAddress { output.append(base, bytes.count) }
        }
        writer.clear()
        outputChanged()
        account()
    }

    /// Sends no more after what is queued.
    final func end() {
        guard !isEnding else { return }
        isEnding = true
        outputChanged()
    }

    /// There is something to send, or the end.
    func outputChanged() {}

    /// The receiver is done with so many bytes: the far end may send as many more.
    func consumed(_ count: Int) {}

    /// Ends both directions now; the receiver hears nothing more.
    func abort() {}

    /// Ends both directions once what is queued has left, so that the far end sees where it was cut off; the receiver hears
    /// nothing more.
    func cut() { abort() }

    /// Puts on the account what waits more, or takes off what waits less.
    private func account() {
        let now = output.heldBytes > Self.counted ? output.heldBytes : 0
        guard now != held, let share else { return }
        let change = now - held
        held = now
        share.hold(change)
    }

    deinit {
        if held > 0 { share?.hold(-held) }
    }

    /// Called by subclasses when output has left.
    final func outputLeft() {
        account()
        guard wantsDrained, output.count <= Self.lowWater else { return }
        wantsDrained = false
        receiver?.channelDrained(self)
    }

    /// Called by subclasses as their last act.
    final func finish(_ failure: TunnelFailure?) {
        output.removeAll()
        account()
        let receiver = self.receiver
        self.receiver = nil
        receiver?.channelClosed(self, failure)
    }

    /// Forgets the receiver without a call.
    final func detach() {
        output.removeAll()
        account()
        receiver = nil
    }
}
