/// One thing that is measured: what it needs is made before, what is counted is `run`.
protocol BenchCase: AnyObject {
    /// Does the operation that often. Anything that is not part of the operation belongs into the initialiser.
    func run(_ operations: Int)
}

/// A case by name, with how to make it.
struct BenchEntry: Sendable {
    let name: String
    /// What one operation is, for the table.
    let operation: String
    /// Operations counted under callgrind: enough that the first one does not matter.
    let counted: Int
    /// The most nanoseconds an operation may take natively, far above what it does take: it catches an algorithm that
    /// has become another one, not a slow machine. Nil where instruction counts say it all.
    var nativeLimit: Double?
    /// Runs in `time` only: under callgrind its preparation takes minutes.
    var isLarge = false
    let make: @Sendable () throws -> any BenchCase
}

/// A result must be used, or the optimiser leaves the work out.
@inline(never)
func consume<T>(_ value: T) {
    withExtendedLifetime(value) {}
}
