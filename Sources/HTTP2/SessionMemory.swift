internal import CNghttp2
internal import Glibc

/// The functions by which nghttp2 gets memory: malloc's, but for its frame buffers (``FrameBufferRegion``).
struct SessionMemory: @unchecked Sendable {
    static let shared = SessionMemory()

    // Made once, only read afterwards; nghttp2 copies it into each session.
    let raw: UnsafeMutablePointer<nghttp2_mem>

    private init() {
        raw = .allocate(capacity: 1)
        raw.initialize(
            to: nghttp2_mem(
                mem_user_data: nil,
                malloc: { size, _ in FrameBufferRegion.shared.take(size) ?? malloc(size) },
                free: { block, _ in SessionMemory.free(block) },
                calloc: { count, size, _ in calloc(count, size) },
                realloc: { block, size, _ in SessionMemory.resized(block, size) }))
    }

    private static func free(_ block: UnsafeMutableRawPointer?) {
        guard let block else { return }
        if FrameBufferRegion.shared.owns(block) {
            FrameBufferRegion.shared.giveBack(block)
        } else {
            Glibc.free(block)
        }
    }

    private static func resized(_ block: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
        guard let block else { return FrameBufferRegion.shared.take(size) ?? malloc(size) }
        guard FrameBufferRegion.shared.owns(block) else { return realloc(block, size) }
        if size <= FrameBufferRegion.slot { return block }
        guard let larger = malloc(size) else { return nil }
        larger.copyMemory(from: block, byteCount: FrameBufferRegion.slot)
        FrameBufferRegion.shared.giveBack(block)
        return larger
    }
}
