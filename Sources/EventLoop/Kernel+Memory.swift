internal import CLinux

extension Kernel {
    /// Resident memory of this process in bytes, or nil where /proc does not say.
    package static func residentMemory() -> UInt64? {
        let bytes = zt_resident_memory()
        return bytes > 0 ? UInt64(bytes) : nil
    }

    /// Gives the allocator's free pages back to the kernel (malloc_trim(3)). Locks each arena in turn for the walk.
    package static func returnFreeMemory() { zt_return_free_memory() }
}
