#pragma once
#include <QDBusVariant>
#include <QObject>
#include <optional>

namespace orrery::widgets {

/// The desktop's wish for light or dark, asked of the portal without blocking. UI thread.
/// Source: XDG Desktop Portal, org.freedesktop.portal.Settings, namespace org.freedesktop.appearance, key color-scheme (0 none, 1 dark, 2 light).
class ThemePortal : public QObject {
    Q_OBJECT
public:
    explicit ThemePortal(QObject* parent = nullptr);
    /// Nothing while unknown, or if the desktop has no wish.
    std::optional<bool> prefersDark() const { return m_dark; }

Q_SIGNALS:
    void changed();

private Q_SLOTS:
    void settingChanged(const QString& group, const QString& key, const QDBusVariant& value);

private:
    void take(const QVariant& value);
    std::optional<bool> m_dark;
};

}  // namespace orrery::widgets
