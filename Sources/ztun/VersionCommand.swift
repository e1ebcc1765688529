internal import ArgumentParser
internal import StatusModel

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Show the version of this ztun.")

    func run() {
        print("ztun \(ProductVersion.text)")
    }
}
