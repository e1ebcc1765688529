import Capture
import Testing

@Suite struct SourcePortAllocatorTests {
    private let usual: ClosedRange<UInt16> = 32768...60999

    @Test(arguments: [1, 2, 3, 8, 64, 1000])
    func workersShareNoPort(workers: Int) {
        var seen = Set<UInt16>()
        for worker in 0..<workers {
            let ports = SourcePortAllocator(worker: worker, of: workers, ephemeral: usual).ports
            for port in ports {
                #expect(seen.insert(port).inserted)
            }
        }
        #expect(seen.count > 17000 - workers)
        #expect(seen.allSatisfy { SourcePortAllocator.all.contains($0) && !CapturePort.isOwn($0) })
    }

    @Test func goesRoundItsPorts() {
        var allocator = SourcePortAllocator(worker: 1, of: 1000, ephemeral: usual)
        let first = (0..<allocator.ports.count).map { _ in allocator.take() }
        #expect(first == Array(allocator.ports))
        #expect(allocator.take() == allocator.ports.lowerBound)
    }

    @Test(arguments: [
        (32768 as UInt16, 60999 as UInt16, 15100 as UInt16, 32099 as UInt16),
        (20000, 60999, 15100, 19999),
        (10000, 20000, 20001, 32099),
        (1024, 30000, 30001, 32099),
        // Too little is left beside these.
        (1024, 65535, 15100, 32099),
        (15200, 31900, 15100, 32099),
    ])
    func keepsOutOfTheEphemeralRange(low: UInt16, high: UInt16, first: UInt16, last: UInt16) {
        let allocator = SourcePortAllocator(worker: 0, of: 1, ephemeral: low...high)
        #expect(allocator.ports == first...last)
    }
}
