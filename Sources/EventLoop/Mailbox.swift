internal import CLinux
internal import Telemetry

/// Messages from any thread to the thread of one loop.
///
/// Posting takes a lock and wakes the loop only when the box was empty. Bounded by what its posters do: it is for
/// control messages and handed-over connections, not for bytes.
package final class Mailbox<Message: Sendable>: Sendable {
    private let queue: Lock<[Message]>
    private let wake: Descriptor

    private static var attempts: Int { 64 }

    package init() throws(SystemError) {
        queue = Lock([])
        wake = Descriptor(owning: try SystemError.check("eventfd", zt_eventfd()))
    }

    /// Adds a message; the loop takes it in its next turn.
    package func post(_ message: Message) {
        let wasEmpty = queue.withLock { messages in
            messages.append(message)
            return messages.count == 1
        }
        // Only the first message wakes: were its signal lost, so were all that come after it.
        if wasEmpty { for _ in 0..<Self.attempts where zt_eventfd_signal(wake.number) >= 0 { return } }
    }

    /// Takes all messages.
    fileprivate func drain() -> [Message] {
        _ = zt_eventfd_clear(wake.number)
        return queue.withLock { messages in
            let taken = messages
            messages = []
            return taken
        }
    }

    fileprivate var descriptor: Int32 { wake.number }
}

/// Delivers the messages of a ``Mailbox`` on a loop's thread.
package final class MailboxReceiver<Message: Sendable>: EventHandler {
    private let mailbox: Mailbox<Message>
    private let receive: (Message) -> Void

    /// Registers with the loop; `receive` runs on its thread, once per message, in posting order per poster.
    package init(_ mailbox: Mailbox<Message>, on loop: EventLoop, receive: @escaping (Message) -> Void)
        throws(SystemError)
    {
        self.mailbox = mailbox
        self.receive = receive
        super.init()
        try loop.addListener(self, descriptor: mailbox.descriptor, exclusive: false)
    }

    /// Ends the delivery.
    package func close(on loop: EventLoop) {
        loop.remove(self, descriptor: mailbox.descriptor)
    }

    package override func ready(_ readiness: Readiness) {
        for message in mailbox.drain() { receive(message) }
    }
}
