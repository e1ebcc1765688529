/// What a request parser reports; called while ``HTTP1RequestParser/receive(_:count:)`` runs.
///
/// The delegate may pause, start the next message or drop the parser's connection from inside a call; it must not call
/// `receive` from inside one.
package protocol HTTP1RequestDelegate: AnyObject {
    /// A whole, valid head has come; it holds until ``HTTP1RequestParser/startNext()``.
    func parser(_ parser: HTTP1RequestParser, didReadHead head: HTTP1RequestHead)
    /// Bytes of the body; the pointer is into the input and ends with the call.
    func parser(_ parser: HTTP1RequestParser, didReadBody bytes: UnsafeRawPointer, count: Int)
    /// The request is complete; nothing more is read until ``HTTP1RequestParser/startNext()``.
    func parserDidEndRequest(_ parser: HTTP1RequestParser)
    /// The bytes are not a request we accept: answer with `failure.status`, where no answer has begun, and close.
    func parser(_ parser: HTTP1RequestParser, didFail failure: HTTP1Failure)
}

/// The server side of HTTP/1.1: bytes in, requests out, no socket.
///
/// One request at a time: after its end the parser stands still until ``startNext()``, so pipelined requests are answered
/// in order by whoever holds the unread bytes.
package final class HTTP1RequestParser {
    private enum State { case head, body, ended, failed }

    package let head: HTTP1RequestHead
    /// While true, ``receive(_:count:)`` returns after the event being reported; set it to hold a sender back. An end that
    /// needs no further byte is still reported.
    package var isPaused = false
    private var state = State.head
    private var body: HTTP1BodyReader
    private let limits: HTTP1Limits
    // The delegate owns the parser, so it outlives it.
    private unowned(unsafe) let delegate: any HTTP1RequestDelegate

    package init(delegate: any HTTP1RequestDelegate, limits: HTTP1Limits = HTTP1Limits()) {
        self.delegate = delegate
        self.limits = limits
        head = HTTP1RequestHead(limits: limits)
        body = HTTP1BodyReader(.none, limits: limits)
    }

    /// Whether no byte of a further request has come: the connection may be closed without harm.
    package var isIdle: Bool { state == .head && head.block.isEmpty }
    /// Whether the current request has ended and ``startNext()`` is due.
    package var hasEnded: Bool { state == .ended }
    /// Whether a failure was reported; all further input is ignored.
    package var hasFailed: Bool { state == .failed }

    /// Reads input; returns how many bytes it consumed. The rest, after an end, a failure or while paused, is the
    /// caller's to keep and offer again.
    package func receive(_ bytes: UnsafeRawPointer, count: Int) -> Int {
        var position = 0
        do throws(HTTP1Failure) {
            while position < count, !isPaused {
                switch state {
                case .head:
                    let step = try head.block.gather(bytes + position, count: count - position)
                    position += step.consumed
                    guard step.complete else { return position }
                    try head.read()
                    body = HTTP1BodyReader(head.framing, limits: limits)
                    state = .body
                    delegate.parser(self, didReadHead: head)
                case .body:
                    let input = UnsafeRawBufferPointer(start: bytes, count: count)
                    switch try body.step(input.bytes, &position) {
                    case .more: return position
                    case .data(let offset, let length):
                        delegate.parser(self, didReadBody: bytes + offset, count: length)
                    case .end: end()
                    }
                case .ended, .failed: return position
                }
                if state == .body, body.isDone { end() }
            }
        } catch {
            state = .failed
            delegate.parser(self, didFail: error)
        }
        return position
    }

    private func end() {
        state = .ended
        delegate.parserDidEndRequest(self)
    }

    /// Forgets the ended request and makes ready for the next; ``head`` is empty afterwards.
    package func startNext() {
        head.clear()
        state = .head
    }

    /// Ignores all further input and reports nothing more: the connection is being closed.
    package func stop() {
        state = .failed
    }

    /// Gives back the memory of an idle connection.
    package func release() {
        if isIdle { head.block.release() }
    }
}
