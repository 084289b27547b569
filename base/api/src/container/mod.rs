//! Documents of containers.

mod config;
mod host_config;
mod inspect;
mod lifecycle;
mod mount;
mod resources;
mod statistics;
mod summary;

pub use config::{Config, CreateRequest, CreateResponse, HealthConfig};
pub use host_config::{HostConfig, LogConfig, PortBinding, PortMap, RestartPolicy};
pub use inspect::{
    GraphDriver, Health, HealthcheckResult, Inspect, NetworkSettings, SecondaryAddress, State,
};
pub use lifecycle::{
    ArchiveStat, Change, ChangeKind, PruneResponse, Top, UpdateRequest, UpdateResponse, WaitError,
    WaitResponse,
};
pub use mount::{BindOptions, DriverConfig, ImageOptions, Mount, MountPoint, TmpfsOptions, VolumeOptions};
pub use resources::{DeviceMapping, DeviceRequest, Resources, ThrottleDevice, Ulimit, WeightDevice};
pub use statistics::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats, StorageStats,
    ThrottlingData,
};
pub use summary::{Port, Summary, SummaryHealth, SummaryHostConfig, SummaryNetworkSettings};
