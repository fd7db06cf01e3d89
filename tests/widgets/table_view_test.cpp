#include <QApplication>
#include <QHeaderView>
#include <QLineEdit>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>
#include <limits>

#include <widgets/table_view.h>

#include "shots.h"

using namespace orrery::widgets;

namespace {

QList<Column> runColumns()
{
    return {{.id = "id", .title = "Run", .numeric = true},
            {.id = "name", .title = "Name", .editable = true},
            {.id = "accuracy", .title = "Accuracy", .numeric = true, .digits = 4},
            {.id = "notes", .title = "Notes", .shown = false}};
}

RowModel::Row row(qint64 id, const QString& name, QVariant accuracy, const QString& notes = {})
{
    return {id, {id, name, accuracy, notes}, {}};
}

std::vector<qint64> order(const RowModel& model)
{
    std::vector<qint64> ids;
    for (int i = 0; i < model.rowCount(); ++i)
        ids.push_back(model.rowId(i));
    return ids;
}

}  // namespace

class TableViewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QApplication::setStyle("Fusion");
        QApplication::setPalette(Theme::palette(false));
    }
    void init();
    void cleanup();
    void filterFindsWordsInAnyColumn_data();
    void filterFindsWordsInAnyColumn();
    void sortingPutsMissingValuesLast();
    void textsSortByTheirNumbers();
    void selectionFollowsItsRows();
    void updatingARowKeepsSelectionAndOrder();
    void headerClickSorts();
    void typingFilters();
    void enterActivatesTheCurrentRow();
    void editsArriveAsSignals();
    void columnsAreChosenAndRemembered();
    void longTitlesEndInDots();
    void aTableWithoutRowsSaysWhy();
    void csvHoldsWhatIsShown();
    void tenThousandRowsFilterAndSort();
    void pictures();

private:
    std::unique_ptr<RowModel> m_model;
    std::unique_ptr<TableView> m_view;
};

void TableViewTest::init()
{
    m_model = std::make_unique<RowModel>();
    m_model->setColumns(runColumns());
    m_model->setRows({row(1, "digits lenet", 0.98, "best so far"), row(2, "digits vit", 0.9512345), row(3, "wine", QVariant()),
                      row(10, "digits mlp", std::numeric_limits<double>::quiet_NaN())});
    m_view = std::make_unique<TableView>();
    m_view->setModel(m_model.get());
    m_view->resize(600, 300);
    m_view->show();
    QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
}

void TableViewTest::cleanup()
{
    m_view.reset();
    m_model.reset();
}

void TableViewTest::filterFindsWordsInAnyColumn_data()
{
    QTest::addColumn<QString>("filter");
    QTest::addColumn<std::vector<qint64>>("expected");
    QTest::newRow("empty") << "" << std::vector<qint64>{1, 2, 3, 10};
    QTest::newRow("word") << "digits" << std::vector<qint64>{1, 2, 10};
    QTest::newRow("letter case") << "LENET" << std::vector<qint64>{1};
    QTest::newRow("two words in any order") << "lenet digits" << std::vector<qint64>{1};
    QTest::newRow("hidden column") << "best" << std::vector<qint64>{1};
    QTest::newRow("greater") << "accuracy>0.96" << std::vector<qint64>{1};
    QTest::newRow("less or equal") << "accuracy<=0.98" << std::vector<qint64>{1, 2};
    QTest::newRow("in one column") << "name:vit" << std::vector<qint64>{2};
    QTest::newRow("equal number") << "run=10" << std::vector<qint64>{10};
    QTest::newRow("unknown column is a word") << "speed>3" << std::vector<qint64>{};
    QTest::newRow("no number after the sign") << "name>vit" << std::vector<qint64>{2};
    QTest::newRow("nothing") << "cifar" << std::vector<qint64>{};
}

void TableViewTest::filterFindsWordsInAnyColumn()
{
    QFETCH(QString, filter);
    QFETCH(std::vector<qint64>, expected);
    m_model->setFilter(filter);
    QCOMPARE(order(*m_model), expected);
    QCOMPARE(m_model->totalRows(), 4);
}

void TableViewTest::sortingPutsMissingValuesLast()
{
    m_model->sort(2, Qt::AscendingOrder);
    QCOMPARE(order(*m_model), (std::vector<qint64>{2, 1, 3, 10}));
    m_model->sort(2, Qt::DescendingOrder);
    QCOMPARE(order(*m_model), (std::vector<qint64>{1, 2, 3, 10}));
    m_model->sort(-1);
    QCOMPARE(order(*m_model), (std::vector<qint64>{1, 2, 3, 10}));
}

void TableViewTest::textsSortByTheirNumbers()
{
    m_model->setRows({row(1, "run 10", {}), row(2, "Run 9", {}), row(3, "run 9b", {})});
    m_model->sort(1);
    QCOMPARE(order(*m_model), (std::vector<qint64>{2, 3, 1}));
}

void TableViewTest::selectionFollowsItsRows()
{
    m_view->setSelectedIds({2, 10});
    m_model->sort(0, Qt::DescendingOrder);
    QList<qint64> selected = m_view->selectedIds();
    std::sort(selected.begin(), selected.end());
    QCOMPARE(selected, (QList<qint64>{2, 10}));
    m_model->setRows({row(10, "x", 1.0), row(2, "y", 2.0), row(7, "z", 3.0)});
    selected = m_view->selectedIds();
    std::sort(selected.begin(), selected.end());
    QCOMPARE(selected, (QList<qint64>{2, 10}));
    m_model->removeRow(2);
    QCOMPARE(m_view->selectedIds(), QList<qint64>{10});
}

void TableViewTest::updatingARowKeepsSelectionAndOrder()
{
    m_model->sort(2, Qt::DescendingOrder);
    m_view->setSelectedIds({2});
    QSignalSpy cells(m_model.get(), &QAbstractItemModel::dataChanged), layout(m_model.get(), &QAbstractItemModel::layoutChanged);
    m_model->updateRow(row(2, "digits vit", 0.96));
    QCOMPARE(cells.size(), 1);
    QCOMPARE(layout.size(), 0);
    m_model->updateRow(row(2, "digits vit", 0.99));
    QCOMPARE(order(*m_model), (std::vector<qint64>{2, 1, 3, 10}));
    m_model->updateRow(row(20, "new", 0.97));
    QCOMPARE(order(*m_model), (std::vector<qint64>{2, 1, 20, 3, 10}));
    QCOMPARE(m_view->selectedIds(), QList<qint64>{2});
    QCOMPARE(m_model->row(20)->cells[1].toString(), QStringLiteral("new"));
}

void TableViewTest::headerClickSorts()
{
    QHeaderView* header = m_view->table()->horizontalHeader();
    const QPoint at(header->sectionViewportPosition(0) + 12, header->height() / 2);
    QTest::mouseClick(header->viewport(), Qt::LeftButton, {}, at);
    QTest::mouseClick(header->viewport(), Qt::LeftButton, {}, at);
    QCOMPARE(order(*m_model), (std::vector<qint64>{10, 3, 2, 1}));
}

void TableViewTest::typingFilters()
{
    QSignalSpy changed(m_view.get(), &TableView::selectionChanged);
    m_view->setSelectedIds({3});
    QTest::keyClicks(m_view->filterEdit(), "vit");
    QCOMPARE(order(*m_model), (std::vector<qint64>{2}));
    QVERIFY(m_view->selectedIds().isEmpty());
    QVERIFY(changed.size() >= 1);
}

void TableViewTest::enterActivatesTheCurrentRow()
{
    QSignalSpy activated(m_view.get(), &TableView::activated);
    QTableView* table = m_view->table();
    table->setFocus();
    QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualRect(m_model->index(1, 0)).center());
    QCOMPARE(m_view->selectedIds(), QList<qint64>{2});
    QTest::keyClick(table, Qt::Key_Return);
    QCOMPARE(activated.size(), 1);
    QCOMPARE(activated[0][0].toLongLong(), 2);
}

void TableViewTest::editsArriveAsSignals()
{
    QSignalSpy edited(m_model.get(), &RowModel::cellEdited);
    QTableView* table = m_view->table();
    table->setFocus();
    table->setCurrentIndex(m_model->index(0, 1));
    QTest::keyClick(table, Qt::Key_F2);
    auto* line = table->viewport()->findChild<QLineEdit*>();
    QVERIFY(line);
    line->selectAll();
    QTest::keyClicks(line, "renamed");
    QTest::keyClick(line, Qt::Key_Return);
    QTRY_COMPARE(edited.size(), 1);
    QCOMPARE(edited[0][0].toLongLong(), 1);
    QCOMPARE(edited[0][1].toString(), QStringLiteral("name"));
    QCOMPARE(edited[0][2].toString(), QStringLiteral("renamed"));
}

void TableViewTest::columnsAreChosenAndRemembered()
{
    QVERIFY(!m_view->isColumnShown("notes"));
    m_view->setColumnShown("notes", true);
    m_view->setColumnShown("accuracy", false);
    m_view->table()->sortByColumn(0, Qt::DescendingOrder);
    m_view->filterEdit()->setText("digits");
    const orrery::core::Json state = m_view->saveState();
    RowModel model;
    TableView other;
    other.restoreState(orrery::core::Json::parse("[1]"));
    model.setColumns(runColumns());
    model.setRows({row(1, "digits", 1.0), row(5, "digits", 2.0), row(6, "wine", 2.0)});
    other.setModel(&model);
    other.restoreState(state);
    QVERIFY(other.isColumnShown("notes") && !other.isColumnShown("accuracy") && other.isColumnShown("name"));
    QCOMPARE(order(model), (std::vector<qint64>{5, 1}));
    other.restoreState(orrery::core::Json::parse(R"({"columns": {"notes": 3}, "sort": {"column": 1}, "filter": []})"));
}

// The ends of a title that is too wide stay free of ink: it is shortened to the room inside the margins, and beside the arrow of the sorted column.
void TableViewTest::longTitlesEndInDots()
{
    m_model->setColumns(
        {{.id = "wide", .title = "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", .tooltip = "how it went", .numeric = true}, {.id = "name", .title = "Name"}});
    auto* header = m_view->table()->horizontalHeader();
    for (const bool isSorted : {false, true}) {
        header->setSortIndicator(isSorted ? 0 : -1, Qt::AscendingOrder);
        m_view->table()->setColumnWidth(0, 90);
        const QImage shown = header->grab().toImage();
        const double scale = shown.devicePixelRatio();
        const QColor ground = shown.pixelColor(int(4 * scale), int(header->height() * scale / 2) - int(6 * scale));
        int ink = 0;
        for (int y = int(scale * header->height() / 2) - int(4 * scale); y < int(scale * header->height() / 2) + int(4 * scale); ++y)
            for (const int x : {1, 2, 87})
                ink += std::abs(shown.pixelColor(int(x * scale), y).lightness() - ground.lightness()) > 60;
        QCOMPARE(ink, 0);
    }
    QCOMPARE(m_model->headerData(0, Qt::Horizontal, Qt::ToolTipRole).toString(), QString("WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW\nhow it went"));
}

void TableViewTest::aTableWithoutRowsSaysWhy()
{
    const auto picture = [this] { return m_view->table()->viewport()->grab().toImage(); };
    m_view->setEmptyText("Nothing differs.");
    m_view->filterEdit()->setText("no such run");
    QCOMPARE(m_model->rowCount(), 0);
    const QImage filtered = picture();
    m_model->setRows({});
    const QImage empty = picture();
    m_view->setEmptyText({});
    const QImage blank = picture();
    QVERIFY(filtered != empty && empty != blank);
}

void TableViewTest::csvHoldsWhatIsShown()
{
    m_model->setFilter("lenet");
    QCOMPARE(m_view->toCsv(), QStringLiteral("Run,Name,Accuracy\n1,digits lenet,0.98\n"));
    m_model->updateRow(row(1, "a, \"b\" lenet", 0.123456));
    QCOMPARE(m_view->toCsv(), QStringLiteral("Run,Name,Accuracy\n1,\"a, \"\"b\"\" lenet\",0.1235\n"));
}

/// The time is measured by the bench; here the result is checked.
void TableViewTest::tenThousandRowsFilterAndSort()
{
    std::vector<RowModel::Row> rows;
    for (int i = 0; i < 10'000; ++i)
        rows.push_back(row(i, QString("run %1").arg((i * 7919) % 10'000), (i * 31) % 1000 / 1000.0));
    m_model->setRows(std::move(rows));
    m_model->setFilter("accuracy>=0.5");
    m_model->sort(1);
    QCOMPARE(m_model->rowCount(), 5000);
    for (int i = 1; i < m_model->rowCount(); ++i)
        QVERIFY(m_model->index(i - 1, 1).data().toString().mid(4).toInt() < m_model->index(i, 1).data().toString().mid(4).toInt());
}

void TableViewTest::pictures()
{
    m_view->setSelectedIds({2});
    takeShots(*m_view, "table");
}

QTEST_MAIN(TableViewTest)
#include "table_view_test.moc"
