internal import Glibc

/// Asking the programs of a run directory.
enum Programs {
    /// The programs the options mean: the one named, or those that have a socket there.
    ///
    /// - Throws: when nothing was named and nothing is there.
    static func found(_ options: Options) throws(Failure) -> [ProgramName] {
        if let program = options.program { return [program] }
        let found = ProgramName.allCases.filter { access("\(options.runDir)/\($0.socket)", F_OK) == 0 }
        guard found.isEmpty else { return found }
        if access(options.runDir, F_OK) == 0, access(options.runDir, X_OK) != 0 {
            throw Failure(
                code: .notAnswering, message: "\(options.runDir) may be entered by root only: run this command as root")
        }
        throw Failure(
            code: .notRunning,
            message: "no ztund and no ztun-waypoint answers at \(options.runDir): there is neither ztund.sock nor "
                + "ztun-waypoint.sock; start one with `ztund run` or `ztun-waypoint run`, or name its run directory "
                + "with --run-dir")
    }

    /// The sockets of ztunds that were replaced and still carry what was open then.
    static func olderSockets(_ options: Options) -> [String] {
        guard options.program != .waypoint, let folder = opendir(options.runDir) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix("ztund."), name.hasSuffix(".sock"), name != ProgramName.ztund.socket {
                names.append(name)
            }
        }
        return names.sorted()
    }

    /// Asks all of them the same at the same time.
    ///
    /// - Parameter older: sockets of replaced ztunds to ask as well; one that has ended meanwhile is left out.
    static func ask(
        _ programs: [ProgramName], _ options: Options, method: String, target: String, body: [UInt8] = [],
        patience: Int = Exchange.patience, older: [String] = []
    ) -> [Exchange] {
        var exchanges = programs.map {
            Exchange($0, directory: options.runDir, method: method, target: target, body: body)
        }
        for socket in older {
            exchanges.append(
                Exchange(
                    .ztund, directory: options.runDir, method: method, target: target, body: body, socket: socket))
        }
        Exchange.run(&exchanges, patience: patience)
        return exchanges.enumerated().filter { place, exchange in
            guard place >= programs.count, case .failed(let failure) = exchange.outcome else { return true }
            return failure.code != .notRunning
        }
        .map(\.element)
    }
}
