//! Registries: mirrors, insecure ones, certificates, proxies, how much at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::Config;
use serde_json::Value;

use super::Reader;
use crate::defaults::Defaults;

/// Fills in how registries are reached.
pub(super) fn fill(config: &mut Config, read: &Reader<'_>, defaults: &Defaults) -> Result<(), String> {
    let proxies = read.map("proxies");
    let proxy = |key: &str| {
        let nested = proxies.get(key).and_then(Value::as_str).map(str::to_owned);
        let inherited = || defaults.environment.get(key).cloned();
        read.text(key).or(nested).or_else(inherited).unwrap_or_default()
    };
    let count = |key: &str, default: usize| {
        read.number(key).and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    };
    let usual = config.registry.clone();
    config.registry.max_concurrent_downloads =
        count("max-concurrent-downloads", usual.max_concurrent_downloads);
    config.registry.max_concurrent_uploads = count("max-concurrent-uploads", usual.max_concurrent_uploads);
    config.registry.max_download_attempts = count("max-download-attempts", usual.max_download_attempts);
    config.registry.other_mirrors = other_mirrors(read)?;
    if let Some(folder) = read.text("registry-certs-dir") {
        config.registry.certificates = vec![PathBuf::from(folder)];
    }
    config.registry.mirrors = read.list("registry-mirrors");
    config.registry.insecure = read.list("insecure-registries");
    config.registry.http_proxy = proxy("http-proxy");
    config.registry.https_proxy = proxy("https-proxy");
    config.registry.no_proxy = proxy("no-proxy");
    Ok(())
}

/// `"mirrors": {"quay.io": ["https://mirror.example"], "*": [...]}`: Docker has mirrors of its own registry only.
fn other_mirrors(read: &Reader<'_>) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut all = BTreeMap::new();
    for (registry, list) in read.map("mirrors") {
        let list = list.as_array().ok_or_else(|| format!("invalid mirrors of {registry}: not a list"))?;
        let mut urls = Vec::new();
        for url in list {
            let text = url.as_str().unwrap_or_default();
            if !matches!(text.split_once("://"), Some(("http" | "https", rest)) if !rest.is_empty()) {
                return Err(format!("invalid mirror of {registry}: {url}"));
            }
            urls.push(text.to_owned());
        }
        all.insert(registry, urls);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Values;

    fn filled(file: &str, environment: &[(&str, &str)]) -> Result<engine::config::RegistryConfig, String> {
        let given: BTreeMap<String, Value> = serde_json::from_str(file).unwrap();
        let known = crate::options::OPTIONS.iter().map(|option| option.key);
        let values: Values =
            known.filter_map(|key| given.get(key).map(|value| (key, value.clone()))).collect();
        let mut defaults = Defaults::wharf(PathBuf::new());
        defaults.environment =
            environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut config = Config::new(PathBuf::new(), PathBuf::new(), PathBuf::new());
        fill(&mut config, &Reader(&values), &defaults).map(|()| config.registry)
    }

    #[test]
    fn mirrors_counts_and_proxies() {
        let file = r#"{"mirrors":{"quay.io":["http://m:1"]},"max-concurrent-downloads":7,"registry-certs-dir":"/c",
            "proxies":{"https-proxy":"file:1"}}"#;
        let found = filled(file, &[("https-proxy", "env:1"), ("no-proxy", "x")]).unwrap();
        assert_eq!(found.other_mirrors.get("quay.io"), Some(&vec!["http://m:1".to_owned()]));
        assert_eq!((found.max_concurrent_downloads, found.max_concurrent_uploads), (7, 5));
        assert_eq!(found.certificates, [PathBuf::from("/c")]);
        assert_eq!((found.https_proxy.as_str(), found.no_proxy.as_str()), ("file:1", "x"));
        assert!(filled(r#"{"mirrors":{"quay.io":["ftp://m"]}}"#, &[]).unwrap_err().contains("quay.io"));
        assert!(filled(r#"{"mirrors":{"quay.io":"x"}}"#, &[]).is_err());
    }
}
