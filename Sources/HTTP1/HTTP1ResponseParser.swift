/// What a response parser reports; called while ``HTTP1ResponseParser/receive(_:count:)`` or
/// ``HTTP1ResponseParser/receiveEnd()`` runs. It must not call them from inside a call.
package protocol HTTP1ResponseDelegate: AnyObject {
    /// A head has come: an interim one (`head.isInterim`), after which the next head follows, or the final one.
    func parser(_ parser: HTTP1ResponseParser, didReadHead head: HTTP1ResponseHead)
    /// Bytes of the body; the pointer is into the input and ends with the call.
    func parser(_ parser: HTTP1ResponseParser, didReadBody bytes: UnsafeRawPointer, count: Int)
    /// The response is complete.
    func parserDidEndResponse(_ parser: HTTP1ResponseParser)
    /// The bytes are not a response we accept, or ended early: answer 502 where no answer has begun, and close.
    func parser(_ parser: HTTP1ResponseParser, didFail failure: HTTP1Failure)
}

/// The client side of HTTP/1.1: bytes in, responses out, no socket. Each response needs its request announced by
/// ``expect(answerTo:)``.
package final class HTTP1ResponseParser {
    private enum State { case idle, head, body, failed }

    package let head: HTTP1ResponseHead
    /// While true, ``receive(_:count:)`` returns after the event being reported; set it to hold a sender back. An end that
    /// needs no further byte is still reported.
    package var isPaused = false
    private var state = State.idle
    private var method = HTTP1Method.other
    private var interim = 0
    private var body: HTTP1BodyReader
    private let limits: HTTP1Limits
    // The delegate owns the parser, so it outlives it.
    private unowned(unsafe) let delegate: any HTTP1ResponseDelegate

    package init(delegate: any HTTP1ResponseDelegate, limits: HTTP1Limits = HTTP1Limits()) {
        self.delegate = delegate
        self.limits = limits
        head = HTTP1ResponseHead(limits: limits)
        body = HTTP1BodyReader(.none, limits: limits)
    }

    /// Whether no response is due.
    package var isIdle: Bool { state == .idle }
    /// Whether a response is due and not a byte of it has come: the request may have died with a stale connection.
    package var isUntouched: Bool { state == .head && interim == 0 && head.block.isEmpty }

    /// Announces that a request of that method was sent; the previous response must have ended.
    package func expect(answerTo method: HTTP1Method) {
        self.method = method
        head.block.clear()
        interim = 0
        state = .head
    }

    /// Reads input; returns how many bytes it consumed, all of them unless paused or failed. Input while no response is
    /// due is a failure: it would answer the next request.
    package func receive(_ bytes: UnsafeRawPointer, count: Int) -> Int {
        var position = 0
        do throws(HTTP1Failure) {
            while position < count, !isPaused {
                switch state {
                case .idle: throw HTTP1Failure.responseUnexpected
                case .head: try readHead(bytes, count, &position)
                case .body:
                    let input = UnsafeRawBufferPointer(start: bytes, count: count)
                    switch try body.step(input.bytes, &position) {
                    case .more: return position
                    case .data(let offset, let length):
                        delegate.parser(self, didReadBody: bytes + offset, count: length)
                    case .end: end()
                    }
                case .failed: return position
                }
                if state == .body, body.isDone { end() }
            }
        } catch {
            fail(error)
        }
        return position
    }

    private func readHead(_ bytes: UnsafeRawPointer, _ count: Int, _ position: inout Int) throws(HTTP1Failure) {
        let step = try head.block.gather(bytes + position, count: count - position)
        position += step.consumed
        guard step.complete else { return }
        try head.read(answering: method)
        if head.isInterim {
            guard head.status != 101 else { throw .upgradeUnexpected }
            interim += 1
            guard interim <= limits.interimResponses else { throw .interimResponses }
            delegate.parser(self, didReadHead: head)
            if state == .head { head.block.clear() }
            return
        }
        body = HTTP1BodyReader(head.framing, limits: limits)
        state = .body
        delegate.parser(self, didReadHead: head)
    }

    /// The peer will send no more: the end of a body that runs until the close, a failure in the midst of another.
    package func receiveEnd() {
        switch state {
        case .idle, .failed: return
        case .body where body.endsWithConnection: end()
        case .head, .body: fail(.truncated)
        }
    }

    private func end() {
        state = .idle
        delegate.parserDidEndResponse(self)
    }

    private func fail(_ failure: HTTP1Failure) {
        state = .failed
        delegate.parser(self, didFail: failure)
    }

    /// Ignores all further input and reports nothing more: the connection is being closed.
    package func stop() {
        state = .failed
    }

    /// Gives back the memory of an idle connection.
    package func release() {
        if state == .idle { head.block.release() }
    }
}
