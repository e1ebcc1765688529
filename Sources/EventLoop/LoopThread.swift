internal import CLinux
internal import Glibc

/// A named thread that runs one closure; for workers, the control thread and the admin thread.
package struct LoopThread: Sendable {
    private let identifier: pthread_t

    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts the thread; the name is cut to the kernel's 15 bytes.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var identifier = pthread_t()
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        let result = pthread_create(
            &identifier, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                zt_set_thread_name(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard result == 0 else {
            start.release()
            throw SystemError("pthread_create", result)
        }
        self.identifier = identifier
    }

    /// Lets the thread end on its own, its memory freed then; instead of ``join()``.
    package func detach() {
        pthread_detach(identifier)
    }

    /// Waits for the thread's end; call once.
    package func join() {
        pthread_join(identifier, nil)
    }
}
