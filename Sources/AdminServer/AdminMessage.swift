/// What other threads tell the admin thread.
enum AdminMessage: Sendable {
    /// A worker's answer; `at` is the monotonic time it was given.
    case workerAnswered(round: UInt64, worker: Int, WorkerAnswer, at: UInt64)
    /// A worker's answer to an ``Inspection``.
    case inspected(UInt64, worker: Int, WorkerAnswer)
    case replied(connection: UInt64, serial: UInt64, AdminResponse)
    /// Take questions at this listening Unix socket too; the descriptor is the loop's.
    case listen(Int32)
    /// Close these listeners: another process has them.
    case leave([Int32])
    case stop
}
