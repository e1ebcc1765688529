import ControlPlane
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

/// A state file of 100,000 workloads read again, with one of them changed.
final class ReloadCase: BenchCase {
    static let entries = [
        BenchEntry(
            name: "reload-one-100k", operation: "state file of 100,000 workloads read again, one of them changed",
            counted: 4, nativeLimit: 500_000_000, isLarge: true
        ) { try ReloadCase() }
    ]

    private var reader = StateFileReader(trustDomain: "cluster.local")
    private let texts: [[UInt8]]
    private var turn = 0

    private init() throws {
        texts = [nil, 50_000].map { MeshFixture.stateFile(workloads: 100_000, policies: 10_000, changed: $0) }
        _ = try reader.read(texts[0], file: "bench")
    }

    func run(_ operations: Int) {
        for _ in 0..<operations {
            turn += 1
            consume(try? reader.read(texts[turn % 2], file: "bench"))
            guard reader.elementsRead == 1 else { fatalError("ztun-bench: \(reader.elementsRead) elements were read") }
        }
    }
}
