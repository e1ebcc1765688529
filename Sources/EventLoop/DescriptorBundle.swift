internal import Telemetry

/// Descriptors on their way from one owner to another, from any thread to any; closed when nobody takes them.
package final class DescriptorBundle: Sendable {
    private let numbers: Lock<[Int32]>

    /// Takes over what was received with a message.
    package init(_ descriptors: [HeldDescriptor]) {
        numbers = Lock(descriptors.compactMap { $0.take()?.release() })
    }

    /// Takes over descriptors that are open.
    package init(owning numbers: [Int32]) {
        self.numbers = Lock(numbers)
    }

    deinit {
        for number in numbers.withLock({ $0 }) { _ = Descriptor(owning: number) }
    }

    /// Their numbers, valid until they are taken.
    package var open: [Int32] { numbers.withLock { $0 } }

    /// All of them, for the caller to own; empty when they were taken before.
    package func take() -> [Int32] {
        numbers.withLock { numbers in
            defer { numbers = [] }
            return numbers
        }
    }
}
