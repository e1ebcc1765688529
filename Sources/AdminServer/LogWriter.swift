internal import EventLoop
internal import Glibc
package import Telemetry

/// The thread that writes a ``Log`` to a descriptor, in large writes.
///
/// It may hang in a write for ever (a stopped pipe, a dead disk): the log then fills, loses lines and counts them, and
/// nobody else notices.
package final class LogWriter: @unchecked Sendable {
    private enum Message: Sendable { case drain, finish }

    private let mailbox: Mailbox<Message>
    // A semaphore may be used from any thread; it is freed only with this object, which the thread retains.
    private let finished: UnsafeMutablePointer<sem_t>

    /// Starts the thread.
    ///
    /// - Parameter descriptor: where the lines go, standard output by default; not closed.
    /// - Throws: when the process has no descriptor or thread left.
    package init(_ log: Log, descriptor: Int32 = 1) throws(AdminFailure) {
        finished = .allocate(capacity: 1)
        finished.initialize(to: sem_t())
        sem_init(finished, 0, 0)
        do throws(SystemError) {
            mailbox = try Mailbox()
        } catch {
            throw AdminFailure("the log writer could not start: \(error); raise the limits of this process")
        }
        let mailbox = mailbox
        log.onFirstLine { mailbox.post(.drain) }
        do throws(SystemError) {
            // Not joined: it may hang in a write when the program ends.
            try LoopThread(name: "ztun-log") { self.run(log, descriptor) }.detach()
        } catch {
            throw AdminFailure("the log writer could not start: \(error); raise the limits of this process")
        }
        mailbox.post(.drain)
    }

    deinit {
        sem_destroy(finished)
        finished.deallocate()
    }

    /// Writes what waits and ends the thread, giving up after the given time.
    package func finish(withinSeconds seconds: Int = 2) {
        mailbox.post(.finish)
        var limit = timespec()
        clock_gettime(CLOCK_REALTIME, &limit)
        limit.tv_sec += seconds
        while sem_timedwait(finished, &limit) != 0, errno == EINTR {}
    }

    private func run(_ log: Log, _ descriptor: Int32) {
        if let loop = try? EventLoop() {
            // The loop holds the receiver, and outlives it.
            let receiver = try? MailboxReceiver(mailbox, on: loop) { [unowned loop] message in
                Self.drain(log, descriptor)
                switch message {
                case .drain: break
                case .finish: loop.stop()
                }
            }
            if let receiver {
                loop.run()
                receiver.close(on: loop)
            }
        }
        sem_post(finished)
    }

    private static func drain(_ log: Log, _ descriptor: Int32) {
        let batch = log.drain()
        if batch.lines > 0, !write(batch.bytes, descriptor) { log.lost(lines: batch.lines) }
        guard batch.dropped > 0 else { return }
        log.write(.warn, .program, "log lines were lost because the output was too slow", now: Kernel.realtimeNow()) {
            $0.field("lines", number: batch.dropped)
        }
    }

    /// Writes all bytes, waiting as long as the descriptor wants; false when it fails.
    private static func write(_ bytes: [UInt8], _ descriptor: Int32) -> Bool {
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return true }
            var done = 0
            while done < buffer.count {
                let count = Glibc.write(descriptor, base + done, buffer.count - done)
                if count > 0 {
                    done += count
                } else if count < 0, errno == EAGAIN {
                    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&waiting, 1, -1)
                } else if count == 0 || errno != EINTR {
                    return false
                }
            }
            return true
        }
    }
}
