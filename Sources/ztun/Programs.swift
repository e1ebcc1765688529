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

    /// Asks all of them the same at the same time.
    static func ask(
        _ programs: [ProgramName], _ options: Options, method: String, target: String, body: [UInt8] = [],
        patience: Int = Exchange.patience
    ) -> [Exchange] {
        var exchanges = programs.map {
            Exchange($0, directory: options.runDir, method: method, target: target, body: body)
        }
        Exchange.run(&exchanges, patience: patience)
        return exchanges
    }
}
