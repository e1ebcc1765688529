import Glibc

/// A value behind a pthread mutex.
///
/// `Synchronization.Mutex` makes ThreadSanitizer report races in correct code on this toolchain; a pthread mutex does
/// not. It is for the edges between threads, never for the path of a byte.
package final class Lock<Value>: @unchecked Sendable {
    // Guarded by `mutex`: nothing reads or writes `value` but inside `withLock`.
    private var value: Value
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init(_ value: sending Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs the body with the value held; the body must not take another lock of the same thread's path.
    package func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
