internal import CLinux

extension Kernel {
    /// Resident memory of this process in bytes, or nil where /proc does not say.
    package static func residentMemory() -> UInt64? {
        let bytes = zt_resident_memory()
        return bytes > 0 ? UInt64(bytes) : nil
    }

    /// Bytes that the allocator has given out and not got back; walks its arenas, so not for often.
    package static func heapInUse() -> Int { Int(zt_heap_in_use()) }

    /// Has the allocator keep at most 2 MiB of free memory at the end of each arena, and map blocks of 1 MiB and more for
    /// themselves. Without it one large queue of a slow reader, once freed, lets every worker keep megabytes for good, which
    /// ``returnFreeMemory()`` does not reach. For the start of a program.
    package static func keepLittleFreeMemory() { zt_keep_little_free_memory() }

    /// Unmaps the pages of this program and its libraries that hold code; what runs from then on is mapped again, from the page
    /// cache. For once, after the start: reading state and making certificates is code that is hardly run again.
    package static func returnCode() { zt_return_code() }

    /// Gives the allocator's free pages back to the kernel (malloc_trim(3)). Locks each arena in turn for the walk.
    package static func returnFreeMemory() { zt_return_free_memory() }
}
