internal import Glibc
internal import Telemetry

/// A plain thread that runs one body again and again, at an interval or when woken, until it is stopped.
///
/// Made for the slow work of the daemon: state files, certificates, repairs. The body runs at once when the thread
/// starts, and never twice at the same time.
package final class ControlThread: Sendable {
    /// Runs one round; returns how long to wait for the next, in milliseconds, nil for the usual interval.
    package typealias Round = @Sendable () -> Int?

    private let wakeReader: Int32
    private let wakeWriter: Int32
    private let state: Lock<State>

    private struct State {
        var thread: pthread_t?
        var isStopping = false
    }

    /// What the thread needs; handed over to it whole.
    private final class Start: Sendable {
        let owner: ControlThread
        let name: String
        let interval: Int
        let round: Round

        init(owner: ControlThread, name: String, interval: Int, round: @escaping Round) {
            self.owner = owner
            self.name = name
            self.interval = interval
            self.round = round
        }
    }

    /// Starts the thread.
    /// - Parameters:
    ///   - name: at most 15 bytes of it show in `top -H`.
    ///   - interval: milliseconds between rounds.
    /// - Throws: ``ControlThreadFailure`` when the system has no descriptor or thread left.
    package init(name: String, interval: Int, round: @escaping Round) throws(ControlThreadFailure) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ControlThreadFailure(call: "pipe", code: errno) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        wakeReader = ends[0]
        wakeWriter = ends[1]
        state = Lock(State())
        let start = Unmanaged.passRetained(Start(owner: self, name: name, interval: interval, round: round))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                // The creator always passes the retained start record.
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                ControlThread.setName(start.name)
                start.owner.run(interval: start.interval, round: start.round)
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            close(ends[0])
            close(ends[1])
            throw ControlThreadFailure(call: "pthread_create", code: code)
        }
        state.withLock { $0.thread = thread }
    }

    /// Begins the next round now (or right after the one that runs).
    package func wake() {
        var byte: UInt8 = 1
        // A full pipe already means "awake".
        _ = write(wakeWriter, &byte, 1)
    }

    /// Lets the running round end, then ends the thread and returns; may be called again, not from the body.
    package func stop() {
        let thread = state.withLock { state -> pthread_t? in
            state.isStopping = true
            defer { state.thread = nil }
            return state.thread
        }
        guard let thread else { return }
        wake()
        pthread_join(thread, nil)
        close(wakeReader)
        close(wakeWriter)
    }

    /// Names the calling thread; a wrong name in `top` is not worth an error.
    private static func setName(_ name: String) {
        let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(name.utf8.prefix(15))
        _ = write(descriptor, bytes, bytes.count)
    }

    private func run(interval: Int, round: Round) {
        while !state.withLock({ $0.isStopping }) {
            let wait = max(1, round() ?? interval)
            var entry = pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, Int32(clamping: wait))
            var bytes: (UInt64, UInt64) = (0, 0)
            while read(wakeReader, &bytes, 16) > 0 {}
        }
    }
}

/// The system call that kept a ``ControlThread`` from starting.
package struct ControlThreadFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let call: String
    /// The `errno` value.
    package let code: Int32

    package var description: String { "cannot start the control thread: \(call): \(String(cString: strerror(code)))" }
}
