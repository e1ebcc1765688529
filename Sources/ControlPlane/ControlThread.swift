internal import Glibc
internal import Telemetry

/// A plain thread that runs one body again and again, at an interval, when woken or when watched files change, until it is
/// stopped.
///
/// Made for the slow work of the daemon: state files, certificates, repairs. The body runs at once when the thread
/// starts, and never twice at the same time.
package final class ControlThread: Sendable {
    /// Runs one round, told whether a change of the watched files brought it about; returns how long to wait for the next,
    /// in milliseconds, nil for the usual interval.
    package typealias Round = @Sendable (_ isNoticed: Bool) -> Int?

    /// Milliseconds between rounds: a slow poll beside a watch that notices changes at once, a quick one without.
    package static func interval(_ watch: FolderWatch?) -> Int { watch == nil ? 250 : 1000 }

    /// Milliseconds after which a file that was seen to change is looked at again.
    /// - Parameter isNoticed: the kernel said that it was written or put in its place, so that little more is to come.
    package static func settlingTime(isNoticed: Bool) -> Int { isNoticed ? 20 : 100 }

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
        let watch: FolderWatch?
        let also: Int32
        let prepare: @Sendable () -> Void
        let round: Round

        init(
            owner: ControlThread, name: String, interval: Int, watch: FolderWatch?, also: Int32,
            prepare: @escaping @Sendable () -> Void, round: @escaping Round
        ) {
            self.prepare = prepare
            self.owner = owner
            self.name = name
            self.interval = interval
            self.watch = watch
            self.also = also
            self.round = round
        }
    }

    /// Starts the thread.
    /// - Parameters:
    ///   - name: at most 15 bytes of it show in `top -H`.
    ///   - interval: milliseconds between rounds.
    ///   - watch: begins a round when it has news; the body says what it follows.
    ///   - also: a descriptor that begins a round when it is readable, which the body must end; -1 for none.
    ///   - prepare: runs first, on the thread.
    /// - Throws: ``ControlThreadFailure`` when the system has no descriptor or thread left.
    package init(
        name: String, interval: Int, watch: FolderWatch? = nil, also: Int32 = -1,
        prepare: @escaping @Sendable () -> Void = {},
        round: @escaping Round
    ) throws(ControlThreadFailure) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ControlThreadFailure(call: "pipe", code: errno) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        wakeReader = ends[0]
        wakeWriter = ends[1]
        state = Lock(State())
        let start = Unmanaged.passRetained(
            Start(owner: self, name: name, interval: interval, watch: watch, also: also, prepare: prepare, round: round)
        )
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                // The creator always passes the retained start record.
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                ControlThread.setName(start.name)
                start.prepare()
                start.owner.run(
                    interval: start.interval, watch: start.watch, also: start.also, round: start.round)
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

    private func run(interval: Int, watch: FolderWatch?, also: Int32, round: Round) {
        var isNoticed = false
        while !state.withLock({ $0.isStopping }) {
            let wait = max(1, round(isNoticed) ?? interval)
            isNoticed = pause(wait, watch, also)
        }
    }

    /// Returns when it is time, when woken, or, with true, when a watched file may have changed.
    private func pause(_ milliseconds: Int, _ watch: FolderWatch?, _ also: Int32) -> Bool {
        let end = Self.now() + milliseconds
        // A descriptor of -1 is passed over.
        var entries = [
            pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0),
            pollfd(fd: watch?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: also, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let left = end - Self.now()
            guard left > 0, poll(&entries, 3, Int32(clamping: left)) > 0 else { return false }
            var bytes: (UInt64, UInt64) = (0, 0)
            var isWoken = false
            while read(wakeReader, &bytes, 16) > 0 { isWoken = true }
            if watch?.take() == true { return true }
            // Else something happened to a file nobody cares about.
            if isWoken || entries[2].revents != 0 { return false }
        }
    }

    /// Monotonic milliseconds.
    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int(time.tv_sec) * 1000 + Int(time.tv_nsec) / 1_000_000
    }
}

/// The system call that kept a ``ControlThread`` from starting.
package struct ControlThreadFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let call: String
    /// The `errno` value.
    package let code: Int32

    package var description: String { "cannot start the control thread: \(reason)" }
    /// The call and the system's words.
    package var reason: String { "\(call): \(String(cString: strerror(code)))" }
}
