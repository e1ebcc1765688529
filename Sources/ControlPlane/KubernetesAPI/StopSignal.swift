internal import Glibc

/// Lets threads that wait for the network be ended: a descriptor that is readable from then on.
final class StopSignal: Sendable {
    private let reader: Int32
    private let writer: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        // Without a pipe (no descriptors left) -1 is passed over by poll, and threads end at their next timeout.
        if pipe(&ends) == 0 { for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) } }
        (reader, writer) = (ends[0], ends[1])
    }

    deinit { for end in [reader, writer] where end >= 0 { close(end) } }

    /// Ends all waits, now and later.
    func raise() {
        var byte: UInt8 = 1
        if writer >= 0 { _ = write(writer, &byte, 1) }
    }

    /// Waits for events of a descriptor; -1 for none.
    /// - Parameter milliseconds: at most; negative is as none.
    /// - Returns: true when the descriptor is ready, false when the time is up.
    func wait(for other: Int32, _ events: Int32, milliseconds: Int) throws(APIFailure) -> Bool {
        var entries = [
            pollfd(fd: reader, events: Int16(POLLIN), revents: 0),
            pollfd(fd: other, events: Int16(events), revents: 0),
        ]
        let count = poll(&entries, 2, Int32(clamping: max(0, milliseconds)))
        if entries[0].revents != 0 { throw .stopped }
        // An interrupted wait looks like one whose descriptor is ready: the call that follows says EAGAIN.
        return count < 0 || entries[1].revents != 0
    }
}
