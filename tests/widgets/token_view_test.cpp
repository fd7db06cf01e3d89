// Tokens as coloured words: layout, colours, keyboard, marks, export; and the fields in which texts are typed.
#include <QClipboard>
#include <QGuiApplication>
#include <QScrollBar>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/report/colour_map.h>
#include <widgets/lines_edit.h>
#include <widgets/text_fields.h>
#include <widgets/theme.h>
#include <widgets/token_view.h>

#include "shots.h"

using namespace orrery;
using widgets::TokenView;

class TokenViewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void wordsWrapAsAWhole();
    void aLineBreakEndsTheLine();
    void coloursFollowTheScaleAndCanBeRead();
    void theKeyboardMovesAndActivates();
    void aClickChoosesAToken();
    void newTokensForgetTheOldOnes();
    void longTextsScroll();
    void scriptsFromRightToLeftStandInTheirOrder();
    void csvHoldsEveryToken();
    void coloursAloneAreNoNumbers();
    void theTextIsCopiedWhole();
    void textsComeAndGoInRows();
    void aHiddenSecondTextIsLeftOut();
    void codeKeepsItsLinesAndIndentation();
    void aFieldTakesSeveralLines();

private:
    static void show(TokenView& view, const QStringList& tokens, int width = 300)
    {
        view.resize(width, 160);
        view.setTokens(tokens);
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
    }
};

void TokenViewTest::wordsWrapAsAWhole()
{
    TokenView view;
    QStringList tokens;
    for (int word = 0; word < 12; ++word)
        tokens << QStringLiteral(" in") << QStringLiteral("ter") << QStringLiteral("pret");
    show(view, tokens);
    int lines = 1;
    for (int i = 1; i < view.count(); ++i) {
        const bool broken = view.tokenRect(i).top() != view.tokenRect(i - 1).top();
        lines += broken;
        if (broken)
            QCOMPARE(i % 3, 0);  // never inside a word
        QVERIFY(view.tokenRect(i).right() <= view.viewport()->width());
    }
    QVERIFY(lines > 1);
}

void TokenViewTest::aLineBreakEndsTheLine()
{
    TokenView view;
    show(view, {"a", "\n", "b", "\\n", "", "c"});
    QVERIFY(view.tokenRect(0).top() == view.tokenRect(1).top());
    QVERIFY(view.tokenRect(2).top() > view.tokenRect(1).top());
    QVERIFY(view.tokenRect(4).top() > view.tokenRect(3).top());
    QVERIFY(view.tokenRect(4).width() > 2);  // an empty token can be seen, too
    QCOMPARE(view.tokenRect(99), QRectF());
}

void TokenViewTest::coloursFollowTheScaleAndCanBeRead()
{
    TokenView view;
    show(view, {"low", " zero", " high", " none", " missing"});
    view.setValues({-2, 0, 1, NAN}, 2);
    QCOMPARE(view.tokenColor(0), widgets::toQColor(report::coolwarm().at(0)));
    QCOMPARE(view.tokenColor(1), widgets::toQColor(report::coolwarm().at(0.5)));
    QCOMPARE(view.tokenColor(2), widgets::toQColor(report::coolwarm().at(0.75)));
    QVERIFY(!view.tokenColor(3).isValid() && !view.tokenColor(4).isValid());
    for (int i = 0; i < 3; ++i)
        QVERIFY(widgets::contrast(view.tokenColor(i), widgets::textColorOn(view.tokenColor(i))) >= 4.5);
    view.setMapKind(widgets::MapKind::Sequential);
    view.setValues({0, 1});
    QCOMPARE(view.tokenColor(1), widgets::toQColor(report::viridis().at(1)));
    QVERIFY(view.tooltip(1).contains("zero") && view.tooltip(1).contains("1"));
    takeShots(view, "token-view");
}

void TokenViewTest::theKeyboardMovesAndActivates()
{
    TokenView view;
    QStringList tokens;
    for (int i = 0; i < 40; ++i)
        tokens << QStringLiteral(" word");
    show(view, tokens);
    QSignalSpy changed(&view, &TokenView::currentChanged), activated(&view, &TokenView::tokenActivated);
    view.setFocus();
    QTest::keyClick(&view, Qt::Key_Right);
    QCOMPARE(view.current(), 0);
    QTest::keyClick(&view, Qt::Key_Right);
    QTest::keyClick(&view, Qt::Key_Down);
    const int below = view.current();
    QCOMPARE(view.tokenRect(below).left(), view.tokenRect(1).left());
    QVERIFY(view.tokenRect(below).top() > view.tokenRect(1).top());
    QTest::keyClick(&view, Qt::Key_Up);
    QCOMPARE(view.current(), 1);
    QTest::keyClick(&view, Qt::Key_End);
    QCOMPARE(view.current(), 39);
    QTest::keyClick(&view, Qt::Key_Right);
    QCOMPARE(view.current(), 39);
    QTest::keyClick(&view, Qt::Key_Home);
    QTest::keyClick(&view, Qt::Key_Space);
    QTest::keyClick(&view, Qt::Key_Return);
    QCOMPARE(activated.size(), 2);
    QCOMPARE(activated[0][0].toInt(), 0);
    QCOMPARE(changed.size(), 6);
    QVERIFY(view.accessibleDescription().contains("word"));
}

void TokenViewTest::aClickChoosesAToken()
{
    TokenView view;
    show(view, {"one", " two", " three"});
    QSignalSpy activated(&view, &TokenView::tokenActivated);
    QTest::mouseClick(view.viewport(), Qt::LeftButton, {}, view.tokenRect(2).center().toPoint());
    QCOMPARE(view.current(), 2);
    QCOMPARE(activated.size(), 1);
    QTest::mouseClick(view.viewport(), Qt::LeftButton, {}, QPoint(view.viewport()->width() - 2, view.viewport()->height() - 2));
    QCOMPARE(activated.size(), 1);
}

void TokenViewTest::newTokensForgetTheOldOnes()
{
    TokenView view;
    show(view, {"one", " two"});
    view.setValues({1, 2});
    view.setMarked({1});
    view.setCurrent(1);
    view.setTokens({"three"});
    QCOMPARE(view.current(), -1);
    QVERIFY(view.marked().isEmpty() && !view.tokenColor(0).isValid());
    view.setTokens({});
    QTest::keyClick(&view, Qt::Key_Right);
    QCOMPARE(view.current(), -1);
}

void TokenViewTest::longTextsScroll()
{
    TokenView view;
    QStringList tokens;
    for (int i = 0; i < 5000; ++i)
        tokens << QStringLiteral(" %1").arg(i);
    show(view, tokens);
    view.setCurrent(4999);
    QVERIFY(view.viewport()->rect().contains(view.tokenRect(4999).toRect()));
    view.setCurrent(0);
    QVERIFY(view.viewport()->rect().contains(view.tokenRect(0).toRect()));
    // A key brings the current token back into view, also where it cannot move any further.
    view.verticalScrollBar()->setValue(view.verticalScrollBar()->maximum());
    QTest::keyClick(&view, Qt::Key_Home);
    QCOMPARE(view.current(), 0);
    QVERIFY(view.viewport()->rect().contains(view.tokenRect(0).toRect()));
}

void TokenViewTest::coloursAloneAreNoNumbers()
{
    TokenView view;
    show(view, {"one", "two"});
    view.setValues({0.25, -0.25}, 1.0);
    QVERIFY(view.tooltip(0).contains("0.25"));
    view.setNumbersShown(false);
    QCOMPARE(view.tooltip(0), QString("0: \"one\""));
    QCOMPARE(view.toCsv(), QString("position,token,value\n0,\"one\",\n1,\"two\",\n"));
    QVERIFY(view.tokenColor(0) != view.tokenColor(1));
}

void TokenViewTest::theTextIsCopiedWhole()
{
    TokenView view;
    show(view, {"\\xe2\\x82", "\\xac", " 5"});
    const auto copied = [&] {
        QGuiApplication::clipboard()->clear();
        QTest::keyClick(&view, Qt::Key_C, Qt::ControlModifier);
        return QGuiApplication::clipboard()->text();
    };
    QCOMPARE(copied(), QString("\\xe2\\x82\\xac 5"));
    view.setText(QString::fromUtf8("€ 5"));
    QCOMPARE(copied(), QString::fromUtf8("€ 5"));
    view.setTokens({"a", "b"});
    QCOMPARE(copied(), QString("ab"));
}

void TokenViewTest::csvHoldsEveryToken()
{
    TokenView view;
    show(view, {"a\"b", "c"});
    view.setValues({0.5});
    QCOMPARE(view.toCsv(), QString("position,token,value\n0,\"a\"\"b\",0.5\n1,\"c\",\n"));
    QTemporaryDir folder;
    for (const char* ending : {"png", "svg", "pdf", "csv"}) {
        const QString file = folder.filePath(QStringLiteral("tokens.") + ending);
        view.exportTo(file);
        QVERIFY(core::readFile(file.toStdString()).size() > 20);
    }
    QVERIFY_THROWS_EXCEPTION(core::InputError, view.exportTo(folder.filePath("tokens.bmp")));
}

void TokenViewTest::scriptsFromRightToLeftStandInTheirOrder()
{
    TokenView view;
    const QString first = QString::fromUtf8("\u0635\u0628\u0627\u062d"), second = QString::fromUtf8(" \u0627\u0644"),
                  third = QString::fromUtf8("##\u062e\u064a\u0631");
    const auto left = [&](int token) { return view.tokenRect(token).left(); };
    // The first letters say how the paragraph runs; the brackets around it are no letters.
    show(view, {"[CLS]", first, second, third, "[SEP]"}, 600);
    for (int i = 1; i < view.count(); ++i)
        QVERIFY2(left(i) < left(i - 1), qPrintable(QString("%1: %2 %3").arg(i).arg(left(i)).arg(left(i - 1))));
    // Latin words inside keep their own order, and the other way round.
    show(view, {"[CLS]", first, " bon", " jour", second, "[SEP]"}, 600);
    QVERIFY(left(0) > left(1) && left(1) > left(3) && left(3) > left(2) && left(2) > left(4) && left(4) > left(5));
    show(view, {"<s>", "bon", first, second, "jour", "</s>"}, 600);
    QVERIFY(left(0) < left(1) && left(1) < left(3) && left(3) < left(2) && left(2) < left(4) && left(4) < left(5));
    // A click finds what stands there.
    QCOMPARE(view.tokenAt(view.tokenRect(3).center()), 3);
    takeShots(view, "tokens-two-directions");
}

void TokenViewTest::textsComeAndGoInRows()
{
    widgets::TextFields fields(widgets::TextFields::Several::Yes);
    fields.resize(600, 120);
    fields.show();
    QVERIFY(QTest::qWaitForWindowExposed(&fields));
    QSignalSpy finished(&fields, &widgets::TextFields::finished);
    auto* add = fields.findChild<QToolButton*>("add_text");
    for (int i = 2; i <= widgets::TextFields::kMostRows; ++i) {
        QVERIFY(add->isEnabled());
        QTest::mouseClick(add, Qt::LeftButton);
        QTest::keyClicks(fields.findChild<widgets::LinesEdit*>(QString("text%1").arg(i)), QString("text %1").arg(i));
    }
    QVERIFY(!add->isEnabled());
    // An empty first text is none, and a row without one is left out.
    QCOMPARE(int(fields.texts().size()), widgets::TextFields::kMostRows - 1);
    QTest::keyClicks(fields.findChild<widgets::LinesEdit*>("pair3"), "its pair");
    QTest::mouseClick(fields.findChild<QToolButton*>("remove_text2"), Qt::LeftButton);
    QVERIFY(add->isEnabled() && finished.count() > 0);
    const auto texts = fields.texts();
    QVERIFY(texts[0] == (train::GivenText{"text 3", "its pair"}) && texts.back() == (train::GivenText{"text 8"}));
    widgets::TextFields again(widgets::TextFields::Several::Yes);
    again.fromJson(fields.toJson());
    QVERIFY(again.texts() == texts);
    again.fromJson(core::Json::parse(R"([["a", 3], "b", [], ["c", "d"]])"));  // damaged
    QVERIFY(again.texts() == (std::vector<train::GivenText>{{"a"}, {"c", "d"}}));
    QCOMPARE(widgets::textArguments(again.texts()), (QStringList{"--text", "a", "--text", "c", "--pair", "", "--pair", "d"}));
    takeShots(fields, "text-fields");
}

void TokenViewTest::codeKeepsItsLinesAndIndentation()
{
    TokenView view;
    view.resize(500, 200);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    // As vocabularies of bytes have it: breaks are tokens, or the end of one, with the indentation behind them.
    view.setTokens({"def", " f", "(x):\\n    ", "return", " x", "\\n\\n", "\\tpass"});
    const auto at = [&](int token) { return view.tokenRect(token); };
    const double blank = QFontMetricsF(view.font()).horizontalAdvance(' ');
    QVERIFY(at(2).top() == at(0).top() && at(3).top() > at(2).top() && at(4).top() == at(3).top());
    QCOMPARE(at(3).left(), at(0).left() + 4 * blank);
    QCOMPARE(at(6).top() - at(5).top(), 2 * (at(3).top() - at(0).top()));
    QCOMPARE(at(6).left(), at(0).left());
    // As vocabularies of words have it: what they drop is handed in.
    view.setTokens({"[CLS]", "def", "f", "(", "x", ")", ":", "return", "x", "[SEP]"});
    view.setBlanks({"", "", " ", "", "", "", "", "\n    ", " ", ""});
    const double wide = QFontMetricsF(view.font()).horizontalAdvance(' ');
    QVERIFY(QFontInfo(view.font()).fixedPitch());
    QVERIFY(at(2).left() - at(1).right() > at(3).left() - at(2).right() + wide - 1);  // the blank is there
    QVERIFY(at(7).top() > at(6).top() && at(8).top() == at(7).top());
    QCOMPARE(at(7).left(), at(0).left() + 4 * wide);
    QCOMPARE(view.tokenAt(at(7).center()), 7);
    takeShots(view, "tokens-code");
    view.setTokens({"a", "b"});
    QVERIFY(!QFontInfo(view.font()).fixedPitch() && at(1).top() == at(0).top());
}

void TokenViewTest::aFieldTakesSeveralLines()
{
    widgets::TextFields fields(widgets::TextFields::Several::No);
    fields.resize(600, 200);
    fields.show();
    QVERIFY(QTest::qWaitForWindowExposed(&fields));
    QSignalSpy finished(&fields, &widgets::TextFields::finished);
    auto* text = fields.first();
    const int oneLine = text->height();
    const QString code = QStringLiteral("def f(x):\n    return\u00a0x");
    QGuiApplication::clipboard()->setText(code);
    text->setFocus();
    text->paste();
    QVERIFY(fields.texts() == (std::vector<train::GivenText>{{code.toStdString()}}));
    QVERIFY(text->height() > oneLine && QFontInfo(text->font()).fixedPitch());
    QTest::keyClick(text, Qt::Key_Return, Qt::ShiftModifier);
    QTest::keyClicks(text, "y");
    QCOMPARE(finished.count(), 0);
    QTest::keyClick(text, Qt::Key_Return);
    QCOMPARE(finished.count(), 1);
    QCOMPARE(text->text(), code + "\ny");
    widgets::TextFields again(widgets::TextFields::Several::No);
    again.fromJson(fields.toJson());
    QVERIFY(again.texts() == fields.texts());
    QCOMPARE(again.first()->maximumHeight(), text->maximumHeight());  // also where nobody heard of the new text
    text->setText(QString("a\n").repeated(30));
    QVERIFY(text->height() < 10 * oneLine);
    text->setText("short");
    QCOMPARE(text->height(), oneLine);
    takeShots(fields, "text-field-of-lines");
}

void TokenViewTest::aHiddenSecondTextIsLeftOut()
{
    widgets::TextFields fields(widgets::TextFields::Several::No);
    fields.resize(300, 80);
    fields.show();
    QVERIFY(QTest::qWaitForWindowExposed(&fields));
    auto *text = fields.first(), *pair = fields.findChild<widgets::LinesEdit*>("pair");
    // Narrow: one below the other; wide: side by side.
    QTRY_VERIFY(pair->y() > text->y());
    fields.resize(600, 80);
    QTRY_COMPARE(pair->y(), text->y());
    QSignalSpy edited(&fields, &widgets::TextFields::edited), finished(&fields, &widgets::TextFields::finished);
    QTest::keyClicks(text, "a");
    QTest::keyClicks(pair, "b");
    QCOMPARE(edited.count(), 2);
    QTest::keyClick(pair, Qt::Key_Return);
    QCOMPARE(finished.count(), 1);
    QTest::keyClick(pair, Qt::Key_Return);  // nothing was changed since
    QCOMPARE(finished.count(), 1);
    fields.setPairs(false);
    QVERIFY(!pair->isVisible() && fields.texts() == (std::vector<train::GivenText>{{"a"}}));
    fields.setPairs(true);
    QVERIFY(pair->isVisible() && fields.texts() == (std::vector<train::GivenText>{{"a", "b"}}));
    QVERIFY(!fields.findChild<QToolButton*>("add_text")->isVisible());
    fields.setTexts({});
    QVERIFY(fields.texts().empty() && edited.count() == 2);
}

QTEST_MAIN(TokenViewTest)
#include "token_view_test.moc"
