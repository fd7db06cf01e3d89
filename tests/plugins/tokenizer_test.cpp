// The Tokenizer panel: what it shows equals core's; several tokenizers; keys and mouse; a restart; files that are none.
#include <QCheckBox>
#include <QDir>
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTableWidget>

#include <core/base/files.h>
#include <core/models/model_file.h>
#include <core/text/tokenizer_files.h>
#include <core/zoo/zoo.h>
#include <plugins/tokenizer/tokenizer_panel.h>
#include <widgets/export.h>
#include <widgets/report_item.h>
#include <widgets/token_view.h>

#include "model_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 60000;  ///< ms

struct Bench : test::PanelBench<TokenizerPanel> {
    QString gpt, bert;
    Bench() : PanelBench(false)
    {
        gpt = written("gpt2");
        bert = written("bert-uncased");
    }
    QString written(const char* name) const
    {
        QDir(folder.path()).mkpath(name);
        const QString file = folder.filePath(QString::fromLatin1(name) + "/tokenizer.json");
        const std::string source = std::string(ORRERY_TEST_DATA "/text/") + name + "/tokenizer.json.gz";
        core::writeFileAtomically(file.toStdString(), core::inflateIfGzip(core::readFile(source), source));
        return file;
    }
    void type(const QString& text) const
    {
        auto* edit = child<QPlainTextEdit>("text");
        QTest::mouseClick(edit->viewport(), Qt::LeftButton);
        edit->selectAll();
        QTest::keyClicks(edit, text);
    }
    void open(const QString& file) const
    {
        widgets::askOpenFile() = [file](QWidget*, const QString&, const QString&) { return file; };
        QTest::mouseClick(child<QPushButton>("add_file"), Qt::LeftButton);
    }
    QString count(int row, int column) const
    {
        const auto* item = child<QTableWidget>("counts")->item(row, column);
        return item ? item->text() : QString();
    }
};

}  // namespace

class TokenizerPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void showsWhatCoreSays()
    {
        Bench bench;
        bench.show();
        bench.type("Hello brave world");
        QTRY_COMPARE_WITH_TIMEOUT(bench.count(0, 1), QString("17"), kPatience);  // bytes
        bench.open(bench.gpt);
        bench.open(bench.bert);
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 3, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        const auto gpt = text::openTokenizer(bench.gpt.toStdString());
        const auto wanted = text::countPieces(*gpt, "Hello brave world");
        QCOMPARE(bench.count(1, 1), QString::number(wanted.all.pieces));
        QCOMPARE(bench.count(1, 2), QString::number(wanted.all.perWord(), 'f', 2));
        QCOMPARE(bench.count(1, 6), QString("yes"));
        QCOMPARE(bench.count(2, 6), QString("no"));  // lower case
        // The second line is chosen with the keyboard: its tokens.
        auto* counts = bench.child<QTableWidget>("counts");
        counts->setFocus();
        QTest::keyClick(counts, Qt::Key_Down);
        const auto encoding = gpt->encode("Hello brave world");
        auto* view = bench.child<widgets::TokenView>("tokens");
        auto* table = bench.child<QTableWidget>("token_table");
        QCOMPARE(view->count(), int(encoding.size()));
        for (int i = 0; i < view->count(); ++i) {
            QCOMPARE(table->item(i, 2)->text(), QString::number(encoding.ids[std::size_t(i)]));
            QCOMPARE(table->item(i, 1)->text(), QString::fromStdString(gpt->tokenText(encoding.ids[std::size_t(i)])));
        }
        // A token clicked in the text is chosen in the table, and the other way round.
        QTest::mouseClick(view->viewport(), Qt::LeftButton, {}, view->tokenRect(2).center().toPoint());
        QCOMPARE(table->currentRow(), 2);
        table->setFocus();
        QTest::keyClick(table, Qt::Key_Down);
        QCOMPARE(view->current(), 3);
        QVERIFY(view->tooltip(0).contains("number " + QString::number(encoding.ids[0])));
    }

    void specialTokensComeAndGo()
    {
        Bench bench;
        bench.show({{"text", "the fox"}, {"tokenizers", {bench.bert.toStdString()}}});
        auto* table = bench.child<QTableWidget>("token_table");
        QTRY_VERIFY_WITH_TIMEOUT(table->rowCount() > 2, kPatience);
        QCOMPARE(table->item(0, 6)->text(), QString("[CLS]"));
        QCOMPARE(table->item(0, 5)->text(), QString("(special)"));
        const int with = table->rowCount();
        QTest::mouseClick(bench.child<QCheckBox>("special"), Qt::LeftButton, {}, {8, bench.child<QCheckBox>("special")->height() / 2});
        QTRY_COMPARE_WITH_TIMEOUT(table->rowCount(), with - 2, kPatience);
        QVERIFY(bench.panel->commandLine().contains("--plain"));
    }

    void unknownTokensAreStruckOut()
    {
        Bench bench;
        bench.show({{"text", "fox \u2603"}, {"tokenizers", {bench.bert.toStdString()}}});
        QTRY_COMPARE_WITH_TIMEOUT(bench.count(0, 4), QString("1"), kPatience);
        auto* view = bench.child<widgets::TokenView>("tokens");
        QCOMPARE(view->marked(), QSet<int>{view->count() - 2});
    }

    void droppedCharactersAreShown()
    {
        Bench bench;
        core::writeFileAtomically(bench.folder.filePath("letters.json").toStdString(),
                                  R"({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, " ": 2}, "merges": []}})");
        bench.show({{"text", "a ö漢b"}, {"tokenizers", {bench.folder.filePath("letters.json").toStdString()}}});
        QTRY_COMPARE_WITH_TIMEOUT(bench.count(0, 5), QString("2"), kPatience);
        QCOMPARE(bench.count(0, 4), QString("0"));
        auto* view = bench.child<widgets::TokenView>("tokens");
        QCOMPARE(view->count(), 4);
        QCOMPARE(view->marked(), QSet<int>{2});
        auto* table = bench.child<QTableWidget>("token_table");
        QCOMPARE(table->item(2, 1)->text(), QString("ö漢"));
        QCOMPARE(table->item(2, 5)->text(), QString("(dropped)"));
        QCOMPARE(table->item(3, 0)->text(), QString("2"));
        QCOMPARE(table->item(3, 1)->text(), QString("b"));
    }

    void scriptsHaveTheirPiecesAWord()
    {
        Bench bench;
        bench.show({{"text", "نص عربي Latin κόσμε दुनिया 👋🏽"}, {"tokenizers", {"bytes", bench.gpt.toStdString()}}});
        auto* scripts = bench.child<QTableWidget>("scripts");
        QTRY_COMPARE_WITH_TIMEOUT(scripts->rowCount(), 5, kPatience);
        QCOMPARE(scripts->item(0, 0)->text(), QString("Arabic"));
        QCOMPARE(scripts->item(0, 1)->text(), QString("2"));
        QCOMPARE(scripts->item(0, 2)->text(), QString("6.50"));  // 4 and 9 bytes with the blank
        QCOMPARE(scripts->columnCount(), 4);
        // A byte has the script of the letter that it is a part of: the second one of the first Arabic letter, and of the first Greek one.
        auto* tokens = bench.child<QTableWidget>("token_table");
        QCOMPARE(tokens->item(1, 5)->text(), QString("Arabic"));
        const int greek = QStringLiteral("نص عربي Latin ").toUtf8().size();
        QCOMPARE(tokens->item(greek + 1, 5)->text(), QString("Greek"));
    }

    void rightToLeftTextIsReadFromTheRight()
    {
        Bench bench;
        const QString file = bench.folder.filePath("arabic.words");
        core::writeFileAtomically(file.toStdString(), "مرحبا\nبالعالم\nabc\ndef\n");
        bench.show({{"text", "مرحبا بالعالم abc def مرحبا"}, {"tokenizers", {file.toStdString()}}});
        auto* view = bench.child<widgets::TokenView>("tokens");
        QTRY_COMPARE_WITH_TIMEOUT(view->count(), 9, kPatience);
        bench.panel->resize(900, 900);
        const auto left = [&](int token) { return view->tokenRect(token).left(); };
        // Words in the order of reading from the right; the Latin ones among them from the left.
        QVERIFY(left(0) > left(1) && left(1) > left(2) && left(2) > left(6) && left(6) > left(4) && left(4) > left(8));
        QCOMPARE(view->tokenAt(view->tokenRect(4).center()), 4);
        bench.child<QPlainTextEdit>("text")->setPlainText("abc مرحبا بالعالم def");
        QTRY_VERIFY_WITH_TIMEOUT(view->count() == 7 && bench.panel->isIdle(), kPatience);
        QVERIFY(left(0) < left(4) && left(4) < left(2) && left(2) < left(6));
    }

    void theChosenModelsTokenizerIsThere()
    {
        Bench bench;
        auto model = zoo::buildModel("gpt", {{"vocabulary", 256}, {"block_length", 16}, {"layers", 1}, {"heads", 1}, {"width", 8}}, 5);
        model.card.tokenizer = {{"kind", "characters"}, {"characters", "abc "}};
        const QString file = bench.folder.filePath("model.safetensors");
        models::saveModel(file.toStdString(), model);
        bench.show({{"text", "ab c"}, {"tokenizers", {"bytes"}}});
        bench.session.openModel(file);
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 2, kPatience);
        QCOMPARE(bench.count(0, 0), QString("model.safetensors"));
        QCOMPARE(bench.count(0, 7), QString("characters"));
        // A text that it cannot say is an error where it happened; the others go on.
        bench.type("abz");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("U+007A"), kPatience);
        QCOMPARE(bench.count(1, 1), QString("3"));
        QCOMPARE(bench.count(0, 1), QString::fromUtf8("–"));
        // A model of pictures has none, and that is no mistake.
        bench.session.openModel("zoo:lenet?image_size=8&kernel=3&padding=1");
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 1, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().isEmpty(), kPatience);
    }

    void aFileThatIsNoneSaysSo()
    {
        Bench bench;
        bench.show({{"text", "x"}});
        const QString file = bench.folder.filePath("broken.json");
        core::writeFileAtomically(file.toStdString(), "{\"model\": {\"type\": \"Magic\"}}");
        bench.open(file);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("broken.json.model"), kPatience);
        QVERIFY(bench.count(1, 7).contains("broken.json.model"));
        // Once closed, or over a restart, the red line does not come back for what the row says.
        bench.panel->showError({});
        bench.child<QCheckBox>("special")->click();
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        bench.show(bench.panel->saveState());
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 2, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY(bench.count(1, 7).contains("broken.json.model"));
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        bench.child<QTableWidget>("counts")->setCurrentCell(1, 0);
        QTest::mouseClick(bench.child<QPushButton>("remove"), Qt::LeftButton);
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 1, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().isEmpty(), kPatience);
    }

    void filesThatAreNoTokenizersAreNamed_data() { test::addModelFaults(); }
    void filesThatAreNoTokenizersAreNamed()
    {
        QFETCH(QString, kind);
        QFETCH(QString, message);
        Bench bench;
        bench.show({{"text", "one two"}, {"tokenizers", {bench.gpt.toStdString()}}});
        QTRY_VERIFY_WITH_TIMEOUT(!bench.count(0, 1).isEmpty(), kPatience);
        const QString pieces = bench.count(0, 1);
        bench.session.openWorkspace(bench.folder.filePath("workspace"));
        bench.open(test::faultyModel(kind, bench.folder.path(), *bench.workspace()));
        QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains(message), qPrintable(bench.panel->errorText()), kPatience);
        QCOMPARE(bench.count(0, 1), pieces);
        QCOMPARE(bench.count(1, 1), QString::fromUtf8("–"));
    }

    void aFileThatHasChangedIsReadAgainWhereItIsOpenedAgain()
    {
        Bench bench;
        bench.show({{"text", "brave"}});
        const QString file = bench.folder.filePath("changing.json");
        core::writeFileAtomically(file.toStdString(), core::readFile(bench.gpt.toStdString()));
        bench.open(file);
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 2, kPatience);
        QTRY_COMPARE_WITH_TIMEOUT(bench.count(1, 7), QString("BPE"), kPatience);
        core::writeFileAtomically(file.toStdString(), core::readFile(bench.bert.toStdString()));
        bench.open(file);
        QTRY_COMPARE_WITH_TIMEOUT(bench.count(1, 7), QString("WordPiece"), kPatience);
        QCOMPARE(bench.child<QTableWidget>("counts")->rowCount(), 2);
    }

    void aRestartBringsBackTextAndTokenizers()
    {
        Bench bench;
        bench.show();
        bench.open(bench.gpt);
        bench.type("one two");
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 2, kPatience);
        const auto state = bench.panel->saveState();
        bench.show(state);
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QTableWidget>("counts")->rowCount(), 2, kPatience);
        QCOMPARE(bench.child<QPlainTextEdit>("text")->toPlainText(), QString("one two"));
        QTRY_COMPARE_WITH_TIMEOUT(bench.count(0, 1), QString("7"), kPatience);
        QVERIFY(bench.panel->commandLine().startsWith("orrery-cli tokenize bytes "));
        QVERIFY(bench.panel->reportItem());
        bench.panel->restoreState({{"text", 3}, {"tokenizers", "x"}});
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
    }

    void aLongTextIsCountedWhole()
    {
        Bench bench;
        bench.show({{"tokenizers", {"bytes"}}});
        bench.child<QPlainTextEdit>("text")->setPlainText(QString("word ").repeated(20000));
        QTRY_COMPARE_WITH_TIMEOUT(bench.count(0, 1), QString("100000"), kPatience);
        QCOMPARE(bench.child<QTableWidget>("token_table")->rowCount(), int(kShownTokens));
        QVERIFY(bench.child<QLabel>("caption")->text().contains("the first of more"));
    }
};

QTEST_MAIN(TokenizerPanelTest)
#include "tokenizer_test.moc"
