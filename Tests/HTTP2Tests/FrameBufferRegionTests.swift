import Testing

@testable import HTTP2

@Suite struct FrameBufferRegionTests {
    @Test func blocksAreApartAndComeBack() throws {
        let region = FrameBufferRegion()
        var blocks: [UnsafeMutableRawPointer] = []
        for index in 0..<200 {
            let block = try #require(region.take(16_394))
            #expect(region.owns(block) && region.owns(block + FrameBufferRegion.slot - 1))
            block.initializeMemory(as: UInt8.self, repeating: UInt8(index), count: FrameBufferRegion.slot)
            blocks.append(block)
        }
        #expect(Set(blocks).count == 200 && region.count == 200)
        for (index, block) in blocks.enumerated() {
            let bytes = UnsafeRawBufferPointer(start: block, count: FrameBufferRegion.slot)
            #expect(bytes.allSatisfy { $0 == UInt8(index) })
        }
        for block in blocks { region.giveBack(block) }
        #expect(region.count == 0)
        let again = (0..<200).compactMap { _ in region.take(16_394) }
        #expect(Set(again) == Set(blocks))
    }

    @Test func otherSizesAndMoreThanThereAreAreForMalloc() throws {
        let region = FrameBufferRegion()
        #expect(region.take(FrameBufferRegion.least - 1) == nil)
        #expect(region.take(FrameBufferRegion.slot + 1) == nil)
        for _ in 0..<FrameBufferRegion.slots { #expect(region.take(16_394) != nil) }
        #expect(region.take(16_394) == nil)
        let stranger = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
        defer { stranger.deallocate() }
        #expect(!region.owns(stranger))
    }

    /// The buffers that sessions have are in the region, and go back to it with them: other tests open some too, so that many
    /// are opened here, and a growth of the address of fresh ones would show if they did not come back.
    @Test func sessionsUseItAndGiveItBack() throws {
        var most = 0
        for _ in 0..<20 {
            let pairs = (0..<50).map { _ in EnginePair() }
            most = max(most, FrameBufferRegion.shared.count)
            withExtendedLifetime(pairs) {}
        }
        #expect(most >= 100)
        #expect(most < 1000, "\(most) of 2000 buffers were in use at once")
    }
}
