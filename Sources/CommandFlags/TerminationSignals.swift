internal import Glibc

/// SIGTERM and SIGINT as something to wait for, on a thread of its own.
package enum TerminationSignals {
    private static func set() -> sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        return signals
    }

    /// Keeps them from ending the process; before any thread is started, since threads inherit it.
    package static func block() {
        var signals = set()
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Returns when the next one arrives.
    package static func wait() {
        var signals = set()
        var signal: Int32 = 0
        while sigwait(&signals, &signal) != 0 {}
    }

    /// Makes ``wait()`` return as if one had arrived.
    package static func raise() {
        kill(getpid(), SIGTERM)
    }
}
