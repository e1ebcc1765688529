internal import Glibc
internal import Telemetry

/// Memory for the one large block of an nghttp2 session: the buffer for a frame it sends, 16 KiB of which an idle connection
/// uses a few hundred bytes.
///
/// From malloc all of it is resident, between other blocks; here each has pages of its own, and those that were never written to
/// cost nothing. Address space for ``slots`` of them is reserved once; what does not fit in comes from malloc. May be used
/// on any thread, when a connection begins or ends.
final class FrameBufferRegion: @unchecked Sendable {
    static let shared = FrameBufferRegion()

    /// Bytes of one: five pages.
    static let slot = 20_480
    /// Smaller blocks are malloc's.
    static let least = 12_288
    /// How many there are; 320 MiB of addresses.
    static let slots = 16_384
    /// Freed ones that keep their pages, for the next connections.
    static let mostWarm = 64

    private struct State {
        /// Slots that were never used.
        var next = 0
        var free: [Int32] = []
    }

    // Set in init; nil where the kernel gives no such region, or has other pages.
    private let base: UnsafeMutableRawPointer?
    private let state = Lock(State())

    init() {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let size = Self.slot * Self.slots
        guard sysconf(Int32(_SC_PAGESIZE)) == 4096,
            let made = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0), made != MAP_FAILED
        else {
            base = nil
            return
        }
        // A large page would make all of its slots resident with the first byte.
        madvise(made, size, MADV_NOHUGEPAGE)
        base = made
    }

    /// A block, not zeroed; nil for a size that is not its own, and when all are taken.
    func take(_ size: Int) -> UnsafeMutableRawPointer? {
        guard let base, size >= Self.least, size <= Self.slot else { return nil }
        let index = state.withLock { state -> Int? in
            if let index = state.free.popLast() { return Int(index) }
            guard state.next < Self.slots else { return nil }
            state.next += 1
            return state.next - 1
        }
        return index.map { base + $0 * Self.slot }
    }

    /// Whether the block is one of this region's.
    func owns(_ block: UnsafeMutableRawPointer) -> Bool {
        guard let base else { return false }
        return block >= base && block < base + Self.slot * Self.slots
    }

    /// Takes back a block of this region.
    func giveBack(_ block: UnsafeMutableRawPointer) {
        guard let base else { return }
        let isWarm = state.withLock { $0.free.count < Self.mostWarm }
        if !isWarm { madvise(block, Self.slot, MADV_DONTNEED) }
        state.withLock { $0.free.append(Int32(truncatingIfNeeded: (block - base) / Self.slot)) }
    }

    /// Blocks that are in use.
    var count: Int { state.withLock { $0.next - $0.free.count } }
}
