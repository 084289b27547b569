//! Chain ids: the name of a layer together with everything below it (OCI image specification, `Layer ChainID`).

use oci::Digest;

/// The chain id of layers given by their diff ids, lowest first; none for no layers.
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    let (first, rest) = diff_ids.split_first()?;
    Some(rest.iter().fold(first.clone(), |chain, diff_id| above(Some(&chain), diff_id)))
}

/// The chain id of one layer above a chain.
pub fn above(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
        None => diff_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains() {
        let a = Digest::of(b"a");
        let b = Digest::of(b"b");
        assert_eq!(chain_id(&[]), None);
        assert_eq!(chain_id(std::slice::from_ref(&a)), Some(a.clone()));
        let ab = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(chain_id(&[a.clone(), b.clone()]), Some(ab.clone()));
        assert_eq!(chain_id(&[a.clone(), b, a.clone()]), Some(above(Some(&ab), &a)));
    }
}
