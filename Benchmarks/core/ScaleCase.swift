import MeshModel

/// The same updates in a mesh of 100,000 workloads: what an update costs follows what changed, not what there is.
final class ScaleCase: BenchCase {
    static let entries = [
        BenchEntry(
            name: "apply-one-100k", operation: "next snapshot with one of 100,000 workloads changed", counted: 500,
            nativeLimit: 1_000_000, isLarge: true
        ) { ScaleCase() }
    ]

    private var snapshot = MeshFixture.snapshot(workloads: ScaleCase.count)
    private static let count = 100_000

    func run(_ operations: Int) {
        for index in 0..<operations {
            // Far apart, so that no part of the maps stays in the cache by chance.
            let workload = MeshFixture.workload(index &* 7919 % Self.count, revision: index + 1)
            snapshot = snapshot.applying(MeshChanges(workloads: [workload]))
        }
    }
}
