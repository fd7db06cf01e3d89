// Tokens as coloured words: layout, colours, keyboard, marks, export.
#include <QClipboard>
#include <QGuiApplication>
#include <QScrollBar>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/report/colour_map.h>
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
    void csvHoldsEveryToken();
    void coloursAloneAreNoNumbers();
    void theTextIsCopiedWhole();

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

QTEST_MAIN(TokenViewTest)
#include "token_view_test.moc"
