#include "help_window.h"

#include <QDialog>
#include <QFileInfo>
#include <QShortcut>
#include <QTextBrowser>
#include <QVBoxLayout>

#include <core/base/error.h>
#include <core/base/files.h>

namespace orrery::app {

QWidget* showHelpPage(QWidget* parent, const QString& page)
{
    auto* dialog = parent->findChild<QDialog*>("help");
    if (!dialog) {
        dialog = new QDialog(parent);
        dialog->setObjectName("help");
        dialog->setWindowTitle(QObject::tr("Orrery help"));
        dialog->resize(640, 560);
        auto* layout = new QVBoxLayout(dialog);
        layout->setContentsMargins(0, 0, 0, 0);
        auto* browser = new QTextBrowser(dialog);
        browser->setObjectName("helpText");
        browser->setOpenExternalLinks(true);
        browser->document()->setDocumentMargin(16);
        layout->addWidget(browser);
    }
    auto* browser = dialog->findChild<QTextBrowser*>();
    try {
        const auto folder = QString::fromStdString((core::resourceFolder() / "help").string());
        const auto file = folder + "/" + page + ".html";
        browser->setSource(QUrl::fromLocalFile(QFileInfo::exists(file) ? file : folder + "/index.html"));
    } catch (const core::Error& error) {
        browser->setPlainText(QString::fromUtf8(error.what()));
    }
    dialog->show();
    dialog->raise();
    return dialog;
}

}  // namespace orrery::app
