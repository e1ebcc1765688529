internal import ArgumentParser
internal import ControlPlane

/// `ztund settings`.
struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "List every setting with its key, flag, variable and default (Markdown).")

    func run() {
        print(SettingsHandbook.text, terminator: "")
    }
}
